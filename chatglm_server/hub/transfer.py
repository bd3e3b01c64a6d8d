"""Fetches one file: goes on where it stopped, counts the bytes, checks the hash, and only then gives it its name."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from tqdm import tqdm

from .. import open_files
from ..errors import ModelFileError
from .http_client import http_client
from .sizes import size_text

if TYPE_CHECKING:
    import httpx

_CHUNK = 1 << 20
_ATTEMPTS = 6  # without a byte in between
_FIRST_PAUSE_S = 0.5
_TIMEOUT_S = 60.0
_SPARE_BYTES = 64 << 20  # that stay free for others
_BUSY = {408, 425, 429, 500, 502, 503, 504}
_GOES_ON = "the same command goes on from there"


@dataclass(frozen=True, slots=True)
class Download:
    """A file to fetch.

    `title` is its name for people. `sha256` is "" if it is unknown; then `version` keeps the bytes of different
    versions of the file apart. `refusals` say what to do about a status of the server. `folder_option` is the
    environment variable that moves the folder of `target`.
    """

    title: str
    url: str
    target: Path
    size: int
    sha256: str = ""
    version: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    refusals: Mapping[int, str] = field(default_factory=dict)
    folder_option: str = ""

    @property
    def partial(self) -> Path:
        """Where the bytes are until all are there."""
        return self.target.with_name(f"{self.target.name}{self.version and '.'}{self.version}.incomplete")

    @property
    def missing(self) -> int:
        """Bytes that are not on the disk yet. Raises: OSError."""
        there = self.target if self.target.exists() else self.partial
        return max(0, self.size - (there.stat().st_size if there.exists() else 0))


class DownloadStopped(ModelFileError):
    """The user stopped a download."""


class _Interrupted(Exception):
    """The connection ended early, or the server is busy: worth another attempt."""


def fetch(download: Download) -> None:
    """Makes `download.target`. What came before an error stays beside it, in a file that ends in ``.incomplete``.

    Raises: ModelFileError, DownloadStopped.
    """
    target = download.target
    partial = download.partial
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("a+b") as file, _only_user(file, download):
            if not target.exists():  # else another program was faster
                _fill(download, file)
                os.fsync(file.fileno())
                open_files.rename(file, partial, target)
    except KeyboardInterrupt:
        have = partial.stat().st_size if partial.exists() else 0
        amount = f"{size_text(have)} of {size_text(download.size)}"
        raise DownloadStopped(f"{download.title}: stopped at {amount}; {_GOES_ON}") from None
    except OSError as error:
        raise ModelFileError(f"{target.parent}: {error.strerror or error}") from None


def discard(partial: Path, title: str) -> int:
    """Deletes the bytes that a stopped download left. Returns their number.

    Raises: ModelFileError if a process is fetching it; OSError.
    """
    try:
        with partial.open("r+b") as file:
            _lock(file, title)
            size = os.fstat(file.fileno()).st_size
            open_files.delete(file, partial)
            return size
    except FileNotFoundError:
        return 0


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, with a progress bar. Raises: OSError."""
    with path.open("rb") as file, _bar(f"checking {path.name}", path.stat().st_size) as bar:
        return _Content(file, bar).sha256


def check_disk(folder: Path, missing: int, title: str, folder_option: str) -> None:
    """Raises: ModelFileError if `missing` bytes do not fit on the disk of `folder`, which need not exist yet."""
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = max(shutil.disk_usage(existing).free - _SPARE_BYTES, 0)
    if missing > free:
        raise ModelFileError(
            f"{title}: needs {size_text(missing)} of disk, and {existing} has {size_text(free)} left; make room, "
            f"or choose another folder with {folder_option}"
        )


class _Content:
    """Counts and hashes the bytes of a file from its start, and moves the bar that shows them."""

    def __init__(self, file: BinaryIO, bar: tqdm[Any]) -> None:
        self._file = file
        self._bar = bar
        self._hash = hashlib.sha256()
        self.size = 0
        file.seek(0)
        while chunk := file.read(_CHUNK):
            self._count(chunk)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def append(self, chunk: bytes) -> None:
        self._file.write(chunk)
        self._file.flush()  # a later run goes on from what is on the disk
        self._count(chunk)

    def clear(self) -> None:
        self._file.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0
        self._bar.reset()

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)
        self._bar.update(len(chunk))


def _fill(download: Download, file: BinaryIO) -> None:
    """Appends to `file` until it is complete, and checks its hash. Raises: ModelFileError, OSError."""
    have = file.seek(0, os.SEEK_END)
    check_disk(download.target.parent, download.size - have, download.title, download.folder_option)
    with (
        _bar(download.title, download.size) as bar,
        http_client(_TIMEOUT_S, download.headers) as client,
    ):
        content = _Content(file, bar)
        failures = 0
        while content.size != download.size:
            before = content.size
            try:
                _receive(download, content, client)
            except _Interrupted as error:
                failures = 1 if content.size > before else failures + 1
                if failures == _ATTEMPTS:
                    raise ModelFileError(f"{download.title}: {error}; {_GOES_ON}") from None
                time.sleep(_FIRST_PAUSE_S * 2 ** (failures - 1))
    if os.fstat(file.fileno()).st_size != download.size:  # the Hugging Face client knows nothing of our lock
        file.truncate(0)
        raise ModelFileError(f"{download.title}: another program wrote into it; the same command fetches it again")
    found = content.sha256
    if download.sha256 and found != download.sha256:
        file.truncate(0)
        raise ModelFileError(
            f"{download.title}: damaged on its way: its SHA-256 is {found[:12]}…, not {download.sha256[:12]}… as the "
            "hub says; the same command fetches it again"
        )


def _receive(download: Download, content: _Content, client: httpx.Client) -> None:
    """One request for the bytes that are missing. Raises: ModelFileError, _Interrupted, OSError."""
    import httpx

    if content.size > download.size:
        content.clear()
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={content.size}-"}
    try:
        with client.stream("GET", download.url, headers=headers) as response:
            if response.status_code in _BUSY:
                raise _Interrupted(f"the server answers {response.status_code}")
            if response.status_code == 200:  # it knows no ranges, and begins at the first byte
                content.clear()
            elif response.status_code != 206:
                status = response.status_code
                raise ModelFileError(download.refusals.get(status, f"{download.title}: the server answers {status}"))
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {content.size}-"):
                raise ModelFileError(
                    f"{download.title}: the server sent another part of the file than it was asked for"
                )
            for chunk in response.iter_raw():
                if content.size + len(chunk) > download.size:
                    raise ModelFileError(f"{download.title}: the server sends more bytes than it said")
                content.append(chunk)
    except (httpx.TransportError, httpx.TooManyRedirects, httpx.InvalidURL) as error:
        raise _Interrupted(str(error) or type(error).__name__) from None
    if content.size < download.size:
        raise _Interrupted("the connection ended early")


@contextmanager
def _only_user(file: BinaryIO, download: Download) -> Iterator[None]:
    """Keeps other processes away from `file`, the partial one, and deletes it in the end if nobody needs it.

    Only its owner may delete it: another process would take it away from a download that waits for its first byte.

    Raises: ModelFileError if another process has it already.
    """
    partial, target = download.partial, download.target
    _lock(file, download.title)
    if not _has_name(file, partial) and not target.exists():
        raise _busy(download.title)  # it began anew after this process had opened the file
    try:
        yield
    finally:
        if _has_name(file, partial) and (target.exists() or os.fstat(file.fileno()).st_size == 0):
            open_files.delete(file, partial)


def _lock(file: BinaryIO, title: str) -> None:
    """Raises: ModelFileError."""
    if not open_files.try_lock(file):
        raise _busy(title)


def _busy(title: str) -> ModelFileError:
    return ModelFileError(f"{title}: another program is fetching it right now")


def _has_name(file: BinaryIO, path: Path) -> bool:
    """False if `path` is another file by now, or none."""
    if file.closed:  # on Windows, when it got its final name
        return False
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _bar(title: str, size: int) -> tqdm[Any]:
    """A bar with the speed and the time left; shows nothing if stderr is no terminal."""
    return tqdm(total=size, desc=title, unit="B", unit_scale=True, dynamic_ncols=True, disable=None, leave=False)
