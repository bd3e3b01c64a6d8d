"""What a hub gives: files to fetch, and the places where its own tools keep them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from .. import __version__
from ..errors import ModelFileError
from . import file_names

USER_AGENT = {"User-Agent": f"chatglm-server/{__version__}"}


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository.

    `target` gets the bytes once they are whole and checked; `path` is the name under which programs find them, and may
    be a link to `target`.
    """

    name: str
    size: int
    sha256: str
    url: str
    target: Path
    path: Path


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model of a repository: one file, or all parts of a split one in order."""

    parts: Sequence[RemoteFile]

    @property
    def file(self) -> str:
        """The name of the file, or of the first part."""
        return self.parts[0].name

    @property
    def quantization(self) -> str:
        """As the name says it: "Q4_K_M", or ""."""
        return file_names.quantization(self.file)

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(part.size for part in self.parts)


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model on this machine: one file, or all parts of a split one in order.

    `name` is what ``--model`` takes. `repository` is "hf:owner/name" or "ms:owner/name", and "" elsewhere. `removal`
    says how to delete a model that belongs to another program; "" if `remove` may.
    """

    name: str
    store: str
    paths: Sequence[Path]
    repository: str = ""
    file: str = ""
    removal: str = ""

    @property
    def quantization(self) -> str:
        """As the name says it: "Q4_K_M", or ""."""
        return file_names.quantization(self.file)

    @property
    def size(self) -> int:
        """Bytes of all parts. Raises: OSError."""
        return sum(path.stat().st_size for path in self.paths)


def bearer(token: str, variable: str) -> dict[str, str]:
    """The header that carries a token; none if that is "".

    Raises: ModelFileError, which names `variable`, for a token that no header can hold.
    """
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ModelFileError(f"{variable}: a token has no blanks or other characters that a header cannot hold")
    return {"Authorization": f"Bearer {token}"} if token else {}


class Hub(Protocol):
    """A place that publishes repositories of model files, and the cache of its own tools."""

    prefix: str
    """Before a repository's name: "hf"."""
    title: str
    folder_option: str
    """The environment variable that moves the cache."""

    def models(self, repository: str) -> list[RemoteModel]:
        """The GGUF models of a repository. Raises: ModelFileError."""
        ...

    def headers(self) -> Mapping[str, str]:
        """Headers of a request for a file: who asks, and with which token. Raises: ModelFileError."""
        ...

    def refusal(self, repository: str, status: int) -> str:
        """What to do about a file that the hub refuses to send."""
        ...

    def publish(self, file: RemoteFile) -> None:
        """Makes `file.path` from `file.target`, whose bytes are whole. Raises: OSError."""
        ...

    def cached(self) -> Iterator[LocalModel]:
        """The models in the cache; never asks the network."""
        ...

    def remove(self, model: LocalModel) -> int:
        """Deletes a model of the cache. Returns the bytes that became free. Raises: OSError."""
        ...


class _Named(Protocol):
    @property
    def file(self) -> str: ...


Named = TypeVar("Named", bound=_Named)


def matching(models: Sequence[Named], wanted: str) -> list[Named]:
    """Returns the models that `wanted` names by a quantization, a file or a part; all of them if it is ""."""
    file = (file_names.split_parts(wanted) or [wanted])[0]
    return [
        model
        for model in models
        if not wanted or model.file == file or file_names.quantization(model.file) == wanted.upper()
    ]


def whole_models(files: Sequence[RemoteFile]) -> list[RemoteModel]:
    """Returns the models among a repository's files. Leaves out a split model if a part is missing."""
    by_name = {file.name: file for file in files}
    return [RemoteModel([by_name[name] for name in parts]) for parts in file_names.whole_models(by_name)]
