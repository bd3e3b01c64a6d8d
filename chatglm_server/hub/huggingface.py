"""Hugging Face: its client's settings, token and cache, so that other programs share the files.

huggingface_hub fetches a file only as a whole, deletes what came before a break, and compares the size alone. It also
reads answers of any length. So it only knows the settings, and `listing` and `transfer` do the work.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ModelFileError
from . import file_names
from .base import USER_AGENT, LocalModel, RemoteFile, RemoteModel, bearer, whole_models
from .catalog import CATALOG
from .listing import Answer, ask, check_count, is_hex, listed_file
from .references import near_names

_BLOBS = "blobs"
_SNAPSHOTS = "snapshots"
_MOST_SUGGESTED = 500
_LONGEST_NAME = 200


class HuggingFace:
    """The hub at ``HF_ENDPOINT``."""

    prefix = "hf"
    title = "Hugging Face"
    folder_option = "HF_HUB_CACHE"

    def models(self, repository: str) -> list[RemoteModel]:
        info = _answer(self.headers(), repository).json()
        commit = info.get("sha") if isinstance(info, dict) else None
        entries = info.get("siblings") if isinstance(info, dict) else None
        if not isinstance(commit, str) or not is_hex(commit, 40) or not isinstance(entries, list):
            raise ModelFileError(f"hf:{repository}: the hub's answer is no list of files")
        check_count(entries, f"hf:{repository}")
        folder = self._folder(repository)
        files = []
        for entry in entries:
            lfs = entry.get("lfs") if isinstance(entry, dict) else None  # absent for small files
            if isinstance(lfs, dict):
                file = listed_file(entry.get("rfilename"), lfs.get("size"), lfs.get("sha256"))
                files += [self._file(repository, folder, commit, *file)] if file else []
        return whole_models(files)

    def headers(self) -> Mapping[str, str]:
        from huggingface_hub import get_token

        return USER_AGENT | bearer(get_token() or "", "HF_TOKEN")

    def refusal(self, repository: str, status: int) -> str:
        if status == 404:
            return f"hf:{repository}: the file is gone from the hub; try again"
        return _gated(repository)

    def publish(self, file: RemoteFile) -> None:
        folder = file.target.parent.parent
        commit = file.path.relative_to(folder / _SNAPSHOTS).parts[0]
        main = folder / "refs" / "main"
        main.parent.mkdir(parents=True, exist_ok=True)
        main.write_text(commit, encoding="ascii")
        file.path.parent.mkdir(parents=True, exist_ok=True)
        if not file.path.exists():
            file.path.unlink(missing_ok=True)  # a link to nothing
            try:
                file.path.symlink_to(os.path.relpath(file.target, file.path.parent))
            except OSError:  # Windows asks for a privilege; huggingface_hub moves the file too
                file.target.replace(file.path)

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
                    blob, size = path.resolve(), path.stat().st_size
                    path.unlink()
                    if blob == path.absolute():  # no link: see `publish`
                        freed += size
                        continue
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


def _gated(repository: str) -> str:
    from huggingface_hub import constants, get_token

    page = f"{constants.ENDPOINT}/{repository}"
    if get_token():
        return f"hf:{repository}: the hub refuses it to your token; accept the licence at {page} with that account"
    return f"hf:{repository}: the hub wants to know who asks; accept the licence at {page} and set HF_TOKEN"


def _answer(headers: Mapping[str, str], repository: str) -> Answer:
    """What the hub knows of a repository. Raises: ModelFileError."""
    import httpx
    from huggingface_hub import constants

    name = f"hf:{repository}"
    if constants.HF_HUB_OFFLINE:
        raise ModelFileError(f"{name}: not in the cache, and HF_HUB_OFFLINE forbids to fetch it")
    try:
        answer = ask(f"{constants.ENDPOINT}/api/models/{repository}", {"blobs": "true"}, headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = str(error) or type(error).__name__
        raise ModelFileError(
            f"{name}: {constants.ENDPOINT} cannot be reached ({reason}); HF_ENDPOINT chooses a mirror, and a name "
            "that begins with ms: another hub"
        ) from None
    if answer.status == 200:
        return answer
    if answer.headers.get("x-error-code") == "GatedRepo":
        raise ModelFileError(_gated(repository))
    if answer.headers.get("x-error-message") == "Invalid credentials in Authorization header":
        raise ModelFileError(f"{name}: the hub does not know the token in HF_TOKEN")
    if answer.status in (401, 404):  # 401 to those without a token: the hub does not tell which repositories exist
        hint = near_names(repository, _published(headers, repository)) or "if it is private, set HF_TOKEN"
        raise ModelFileError(f"{name}: no such repository on {HuggingFace.title}; {hint}")
    raise ModelFileError(f"{name}: the hub answers {answer.status}; try again later")


def _published(headers: Mapping[str, str], repository: str) -> list[str]:
    """Repositories that may have been meant: those of the catalog and of the same owner."""
    import httpx
    from huggingface_hub import constants

    query = {"author": repository.partition("/")[0], "limit": str(_MOST_SUGGESTED)}
    try:
        models = ask(f"{constants.ENDPOINT}/api/models", query, headers).json()
    except (httpx.HTTPError, httpx.InvalidURL, ModelFileError):  # it is only for a hint
        models = None
    ids = [model.get("id") for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    names = [name for name in ids if isinstance(name, str) and name.isprintable() and len(name) <= _LONGEST_NAME]
    return [entry.huggingface for entry in CATALOG.values()] + names[:_MOST_SUGGESTED]
