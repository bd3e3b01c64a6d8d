"""Hugging Face: its client's settings, token and cache, so that other programs share the files.

huggingface_hub fetches a file only as a whole: it deletes what came before a break, and compares the size alone. So it
says what there is, and `transfer` fetches.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import ModelFileError
from . import file_names
from .base import USER_AGENT, LocalModel, RemoteFile, RemoteModel, whole_models
from .catalog import CATALOG
from .references import near_names

_BLOBS = "blobs"
_SNAPSHOTS = "snapshots"
_TIMEOUT_S = 30.0
_MOST_SUGGESTED = 500
_HEX = frozenset("0123456789abcdef")


class HuggingFace:
    """The hub at ``HF_ENDPOINT``."""

    prefix = "hf"
    title = "Hugging Face"
    folder_option = "HF_HUB_CACHE"

    def models(self, repository: str) -> list[RemoteModel]:
        from huggingface_hub import HfApi

        with _explained(repository):
            info = HfApi().model_info(repository, files_metadata=True, timeout=_TIMEOUT_S)
        folder = self._folder(repository)
        commit = info.sha or ""
        if not _is_hex(commit, 40):
            raise ModelFileError(f"hf:{repository}: the hub's answer names no commit")
        return whole_models(
            [
                self._file(repository, folder, commit, file.rfilename, file.lfs.size, file.lfs.sha256)
                for file in info.siblings or []
                if file.lfs and file_names.is_safe(file.rfilename) and _is_hex(file.lfs.sha256, 64)
            ]
        )

    def headers(self) -> Mapping[str, str]:
        from huggingface_hub import get_token

        token = get_token()
        return USER_AGENT | ({"Authorization": f"Bearer {token}"} if token else {})

    def refusal(self, repository: str, status: int) -> str:
        if status == 404:
            return f"hf:{repository}: the file is gone from the hub; try again"
        return _gated(repository)

    def publish(self, file: RemoteFile) -> None:
        commit_folder = next(parent for parent in file.path.parents if parent.parent.name == _SNAPSHOTS)
        main = commit_folder.parent.parent / "refs" / "main"
        main.parent.mkdir(parents=True, exist_ok=True)
        main.write_text(commit_folder.name, encoding="ascii")
        file.path.parent.mkdir(parents=True, exist_ok=True)
        if not file.path.exists():
            file.path.unlink(missing_ok=True)  # a link to nothing
            file.path.symlink_to(os.path.relpath(file.target, file.path.parent))

    def cached(self) -> Iterator[LocalModel]:
        for folder in sorted(_cache().glob("models--*--*")):
            repository = folder.name.removeprefix("models--").replace("--", "/", 1)
            seen: set[str] = set()
            for snapshot in _snapshots(folder):
                files = {
                    path.relative_to(snapshot).as_posix(): path for path in snapshot.rglob("*.gguf") if path.is_file()
                }
                for parts in file_names.whole_models(files):
                    if parts[0] not in seen:
                        seen.add(parts[0])
                        paths = [files[part] for part in parts]
                        yield LocalModel(
                            f"hf:{repository}:{parts[0]}", "Hugging Face", paths, f"hf:{repository}", parts[0]
                        )

    def remove(self, model: LocalModel) -> int:
        folder = self._folder(model.repository.removeprefix("hf:"))
        names = file_names.split_parts(model.file)
        freed = 0
        for snapshot in _snapshots(folder):
            for path in (snapshot / name for name in names):
                if path.is_file():
                    blob = path.resolve()
                    path.unlink()
                    ours = blob.parent == (folder / _BLOBS).resolve()  # a link may lead anywhere
                    if ours and not _is_linked(blob, folder):
                        freed += blob.stat().st_size
                        blob.unlink()
        others = (*(folder / _SNAPSHOTS).rglob("*"), *(folder / _BLOBS).glob("*.incomplete"))
        if folder.exists() and not any(path.is_file() for path in others):
            shutil.rmtree(folder)
        return freed

    def _folder(self, repository: str) -> Path:
        return _cache() / f"models--{repository.replace('/', '--')}"

    def _file(self, repository: str, folder: Path, commit: str, name: str, size: int, sha256: str) -> RemoteFile:
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(repository, name, revision=commit)
        return RemoteFile(name, size, sha256, url, folder / _BLOBS / sha256, folder / _SNAPSHOTS / commit / name)


def _cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _snapshots(folder: Path) -> list[Path]:
    """The commits in the cache, first the one that ``main`` names, then the newest."""
    try:
        main = (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        main = ""
    snapshots = [path for path in (folder / _SNAPSHOTS).glob("*") if path.is_dir()]
    return sorted(snapshots, key=lambda path: (path.name != main, -path.stat().st_mtime))


def _is_linked(blob: Path, folder: Path) -> bool:
    """True if a file of a snapshot still is a link to `blob`."""
    return any(path.is_symlink() and path.resolve() == blob for path in (folder / _SNAPSHOTS).rglob("*"))


def _is_hex(text: Any, length: int) -> bool:
    return isinstance(text, str) and len(text) == length and _HEX.issuperset(text)


def _gated(repository: str) -> str:
    from huggingface_hub import constants, get_token

    page = f"{constants.ENDPOINT}/{repository}"
    if get_token():
        return f"hf:{repository}: the hub refuses it to your token; accept the licence at {page} with that account"
    return f"hf:{repository}: the hub wants to know who asks; accept the licence at {page} and set HF_TOKEN"


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    """The client's errors in one line. Raises: ModelFileError."""
    from huggingface_hub import constants, errors

    name = f"hf:{repository}"
    try:
        yield
    except errors.GatedRepoError:
        raise ModelFileError(_gated(repository)) from None
    except errors.RepositoryNotFoundError:
        near = near_names(repository, _published(repository)) or "or it is private: set HF_TOKEN"
        raise ModelFileError(f"{name}: no such repository on {HuggingFace.title}; {near}") from None
    except errors.OfflineModeIsEnabled:
        raise ModelFileError(f"{name}: not in the cache, and HF_HUB_OFFLINE forbids to fetch it") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        if status == 401:
            raise ModelFileError(f"{name}: the hub does not know the token in HF_TOKEN") from None
        raise ModelFileError(f"{name}: the hub answers {status}; try again later") from None
    except Exception as error:  # the client's HTTP library is another one in each of its versions
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        if "SOCKS" in reason:  # before its version 1.0 the client had a library without it
            package = "socksio" if "socksio" in reason else "PySocks"
            raise ModelFileError(f"{name}: the environment names a SOCKS proxy: pip install {package}") from None
        raise ModelFileError(
            f"{name}: {constants.ENDPOINT} cannot be reached ({reason}); HF_ENDPOINT chooses a mirror, and a name "
            "that begins with ms: another hub"
        ) from None


def _published(repository: str) -> list[str]:
    """Repositories that may have been meant: those of the catalog and of the same owner."""
    from huggingface_hub import HfApi

    known = [entry.huggingface for entry in CATALOG.values()]
    try:
        of_owner = HfApi().list_models(author=repository.partition("/")[0], limit=_MOST_SUGGESTED)
        return known + [model.id for model in of_owner]
    except Exception:  # it is only for a hint
        return known
