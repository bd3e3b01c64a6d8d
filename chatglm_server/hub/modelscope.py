"""ModelScope, the usual source in China: three calls of its API, and the cache of its own tools.

Facts: the layout and the names of the environment variables are those of modelscope_hub 0.5.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from ..errors import ModelFileError
from . import file_names
from .base import USER_AGENT, LocalModel, RemoteFile, RemoteModel, bearer, whole_models
from .catalog import CATALOG
from .listing import ask, check_count, listed_file
from .references import near_names

_ENDPOINT = "https://modelscope.cn"
_TOKEN = "MODELSCOPE_API_TOKEN"  # noqa: S105  # the variable's name
_DOT = "___"  # how folders of the old layout spell a dot


class ModelScope:
    """The hub at ``MODELSCOPE_ENDPOINT``."""

    prefix = "ms"
    title = "ModelScope"
    folder_option = "MODELSCOPE_CACHE"

    def models(self, repository: str) -> list[RemoteModel]:
        folder = _old_folder(repository) or _new_folder(repository)
        files = []
        for entry in self._listing(repository):
            file = listed_file(entry.get("Path"), entry.get("Size"), entry.get("Sha256"))
            if file:
                path = folder / file.name
                url = f"{_api(repository)}?{urlencode({'Revision': 'master', 'FilePath': file.name}, quote_via=quote)}"
                files.append(RemoteFile(*file, url, path, path))
        return whole_models(files)

    def headers(self) -> Mapping[str, str]:
        token = os.environ.get(_TOKEN, "").strip()
        return USER_AGENT | bearer(token, _TOKEN) | ({"Cookie": f"m_session_id={token}"} if token else {})

    def refusal(self, repository: str, status: int) -> str:
        if status == 404:
            known = [entry.modelscope for entry in CATALOG.values() if entry.modelscope]
            hint = near_names(repository, known) or f"if it is private, set {_TOKEN}"
            return f"ms:{repository}: no such repository on {self.title}; {hint}"
        return f"ms:{repository}: the hub wants to know who asks; accept the licence on its page and set {_TOKEN}"

    def publish(self, file: RemoteFile) -> None:
        """The file already has its name."""

    def cached(self) -> Iterator[LocalModel]:
        root = _cache()
        for folder in sorted(root.glob("models/*--*/snapshots/*")):
            yield from _models(folder, folder.parent.parent.name.replace("--", "/", 1))
        for folder in sorted([*root.glob("models/*/*"), *root.glob("hub/models/*/*")]):
            if "--" not in folder.parent.name:
                yield from _models(folder, f"{folder.parent.name}/{folder.name.replace(_DOT, '.')}")

    def remove(self, model: LocalModel) -> int:
        freed = model.size
        for path in model.paths:
            path.unlink()
        return freed

    def _listing(self, repository: str) -> list[dict[str, Any]]:
        """The files of a repository. Raises: ModelFileError."""
        import httpx

        name = f"ms:{repository}"
        try:
            query = {"Revision": "master", "Recursive": "True"}
            answer = ask(f"{_api(repository)}/files", query, self.headers())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            reason = str(error) or type(error).__name__
            raise ModelFileError(
                f"{name}: {_endpoint()} cannot be reached ({reason}); MODELSCOPE_ENDPOINT chooses another address"
            ) from None
        if answer.status in (401, 403, 404):
            raise ModelFileError(self.refusal(repository, answer.status))
        if answer.status != 200:
            raise ModelFileError(f"{name}: the hub answers {answer.status}; try again later")
        return _files(answer.json(), name)


def _files(answer: Any, name: str) -> list[dict[str, Any]]:
    """The entries of the hub's answer. Raises: ModelFileError."""
    try:
        files = answer["Data"]["Files"]
    except (KeyError, TypeError):
        files = None
    if not isinstance(files, list):
        raise ModelFileError(f"{name}: the hub's answer is no list of files")
    check_count(files, name)
    return [entry for entry in files if isinstance(entry, dict)]


def _models(folder: Path, repository: str) -> Iterator[LocalModel]:
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.gguf") if path.is_file()}
    for parts in file_names.whole_models(files):
        name = f"ms:{repository}:{parts[0]}"
        yield LocalModel(name, ModelScope.title, [files[part] for part in parts], f"ms:{repository}", parts[0])


def _endpoint() -> str:
    text = os.environ.get("MODELSCOPE_ENDPOINT", "").strip() or _ENDPOINT
    return (text if text.lower().startswith(("http://", "https://")) else f"https://{text}").rstrip("/")


def _api(repository: str) -> str:
    return f"{_endpoint()}/api/v1/models/{repository}/repo"


def _cache() -> Path:
    folder = os.environ.get("MODELSCOPE_CACHE")
    return Path(folder).expanduser() if folder else Path.home() / ".cache" / "modelscope"


def _new_folder(repository: str) -> Path:
    return _cache() / "models" / repository.replace("/", "--") / "snapshots" / "master"


def _old_folder(repository: str) -> Path | None:
    """Where older tools keep this repository, if they do."""
    owner, _, name = repository.partition("/")
    folders = [_cache() / middle / "models" / owner / name.replace(".", _DOT) for middle in (".", "hub")]
    return next((folder for folder in folders if folder.is_dir() and any(folder.iterdir())), None)
