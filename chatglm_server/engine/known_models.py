"""The model files on this machine by name: which of them this server can run, and what each is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import ModelFileError
from ..model_names import plain
from .base import ModelInfo

_LOOK_AGAIN_S = 2.0
"""Seconds after a look at this machine in which a name that was not there is taken to be still not there."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model file, and what it is; its id is its first name on this machine."""

    path: Path
    info: ModelInfo


class KnownModels:
    """Finds model files by their names on this machine, and looks again for a name that is new.

    A file is read once, and again when it has changed; its weights are not. Both methods read the disk, in a thread.
    """

    def __init__(
        self, list_models: Callable[[], Mapping[str, Path]], describe: Callable[[str, Path], ModelInfo]
    ) -> None:
        """`list_models` gives the files by name. `describe` reads what the file of a name is, without its weights, and
        raises ModelFileError if this server cannot run it.
        """
        self._list_models, self._describe = list_models, describe
        self._names: dict[Path, list[str]] = {}
        self._looked: float | None = None
        self._read: dict[Path, tuple[tuple[int, int], ModelInfo | ModelFileError]] = {}  # with size and time

    async def models(self) -> list[KnownModel]:
        """All that this server can run."""
        return await asyncio.to_thread(self._all)

    async def find(self, name: str) -> KnownModel | None:
        """The model of that name; None if there is none. Raises: ModelFileError if this server cannot run it."""
        return await asyncio.to_thread(self._find, name)

    def _all(self) -> list[KnownModel]:
        self._look()
        models: list[KnownModel] = []
        for path, names in self._names.items():
            with suppress(ModelFileError):
                models.append(self._known(path, names))
        return models

    def _find(self, name: str) -> KnownModel | None:
        found = self._named(name)
        if found is None and (self._looked is None or time.monotonic() - self._looked > _LOOK_AGAIN_S):
            self._look()
            found = self._named(name)
        return None if found is None else self._known(*found)

    def _named(self, name: str) -> tuple[Path, list[str]] | None:
        like: tuple[Path, list[str]] | None = None
        for path, names in self._names.items():
            if name in names:
                return path, names
            if like is None and plain(name) in map(plain, names):
                like = path, names
        return like

    def _known(self, path: Path, names: Sequence[str]) -> KnownModel:
        """Raises: ModelFileError."""
        try:
            stat = path.stat()
        except OSError as error:
            raise ModelFileError(f"{path}: {error.strerror}") from None
        stamp = (stat.st_size, stat.st_mtime_ns)
        before, read = self._read.get(path, (None, None))
        if read is None or before != stamp:
            try:
                read = self._describe(names[0], path)
            except ModelFileError as error:
                read = error
            except OSError as error:  # it was deleted a moment ago
                read = ModelFileError(f"{path}: {error.strerror}")
            self._read[path] = stamp, read
        if isinstance(read, ModelFileError):
            raise ModelFileError(read.message)
        return KnownModel(path, replace(read, id=names[0], aliases=tuple(names[1:])))

    def _look(self) -> None:
        """Mutates the names."""
        found: dict[Path, list[str]] = {}
        for name, path in self._list_models().items():
            found.setdefault(path.resolve(), []).append(name)
        self._names = found
        for path in list(self._read):  # a copy: another thread may add to it
            if path not in found:
                self._read.pop(path, None)
        self._looked = time.monotonic()
