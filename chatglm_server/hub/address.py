"""A GGUF file at an http(s) address: kept in this server's own cache, under the address."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ..cache_folder import cache_folder
from ..errors import ModelFileError
from .base import USER_AGENT, LocalModel
from .http_client import http_client
from .references import is_file_address
from .transfer import Download, discard, fetch
from .unfinished import Unfinished, noted, part_of

_MAGIC = b"GGUF"
_STORE = "address"
_TIMEOUT_S = 30.0
FOLDER_OPTION = "XDG_CACHE_HOME"


def path_of(url: str) -> Path:
    """The place of an address's file: ``SCHEME/HOST/PATH`` below the cache."""
    scheme, _, rest = url.partition("://")
    return _cache() / scheme / rest


def fetch_address(url: str) -> Path:
    """Fetches a file; only its server's headers tell its size and version. Raises: ModelFileError."""
    download = _download(url)
    target = download.target
    for other in target.parent.glob(f"{glob.escape(target.name)}.*.incomplete"):
        if other != download.partial:
            with suppress(ModelFileError, OSError):  # another process is fetching that version
                discard(other, url)
    with noted(Unfinished(name=url, store=_STORE, parts=[part_of(download, target)], file=target.name)):
        fetch(download)
    return target


def cached() -> Iterator[LocalModel]:
    """Yields the files in this cache, each under its address."""
    root = _cache()
    for path in sorted(root.rglob("*.gguf")):
        scheme, *rest = path.relative_to(root).parts
        url = f"{scheme}://{'/'.join(rest)}"
        if path.is_file() and is_file_address(url):
            yield LocalModel(url, _STORE, [path], file=path.name)


def remove(model: LocalModel) -> int:
    """Deletes a file of the cache. Returns the bytes that became free. Raises: OSError."""
    size = model.size
    for path in model.paths:
        path.unlink()
    return size


def _cache() -> Path:
    return cache_folder() / "models"


def _download(url: str) -> Download:
    """Reads the first four bytes, which show a GGUF file, and the headers, which tell its size and version.

    Raises: ModelFileError.
    """
    import httpx

    try:
        with (
            http_client(_TIMEOUT_S) as client,
            client.stream("GET", url, headers={"Range": "bytes=0-3", "Accept-Encoding": "identity"}) as response,
        ):
            if response.status_code not in (200, 206):
                raise ModelFileError(f"{url}: the server answers {response.status_code}")
            begin = b""
            for chunk in response.iter_raw():
                begin += chunk
                if len(begin) >= len(_MAGIC):
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ModelFileError(f"{url}: cannot be reached ({str(error) or type(error).__name__})") from None
    if not begin.startswith(_MAGIC):
        raise ModelFileError(f"{url}: not a GGUF file; it begins with {begin[:4]!r}")
    size = _whole_size(response.status_code, response.headers)
    if size is None:
        raise ModelFileError(f"{url}: the server does not say how long the file is; fetch it yourself")
    tag = response.headers.get("ETag", "")
    version = hashlib.sha256(f"{size} {tag} {response.headers.get('Last-Modified', '')}".encode()).hexdigest()[:12]
    strong = tag.startswith('"') and tag.isascii() and tag.isprintable()  # a weak tag is not allowed in If-Range
    only_same = {"If-Range": tag} if strong else {}
    return Download(
        url, url, path_of(url), size, version=version, headers=USER_AGENT | only_same, folder_option=FOLDER_OPTION
    )


def _whole_size(status: int, headers: Mapping[str, str]) -> int | None:
    """Returns the size of a file that came whole (200) or with its first four bytes (206); None if it is not told."""
    if status == 200:
        match = re.fullmatch(r"(\d{1,15})", headers.get("Content-Length", ""))
    else:
        match = re.fullmatch(r"bytes 0-3/(\d{1,15})", headers.get("Content-Range", ""))
    return int(match[1]) if match else None
