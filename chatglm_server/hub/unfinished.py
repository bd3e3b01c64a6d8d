"""Downloads that stopped on their way. A note in this server's own cache says what each of them is.

The caches of the hubs keep the bytes under names that tell neither the model nor its size.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from ..cache_folder import cache_folder
from .transfer import Download

_LONGEST_NOTE = 1 << 20


class Part(BaseModel):
    """A file to fetch: the bytes go into `partial`, which becomes `target` when complete; programs open `path`."""

    path: Path
    target: Path
    partial: Path
    size: int = Field(gt=0)

    @property
    def have(self) -> int:
        """Bytes that are here. Raises: OSError."""
        return next((file.stat().st_size for file in (self.path, self.target, self.partial) if file.exists()), 0)


class Unfinished(BaseModel):
    """A model that is fetched. `name` is what ``pull`` takes; `repository` is as a `LocalModel` has it."""

    name: str
    store: str
    parts: list[Part]
    repository: str = ""
    file: str = ""

    @property
    def size(self) -> int:
        """Bytes of all parts, once they are here."""
        return sum(part.size for part in self.parts)

    @property
    def have(self) -> int:
        """Bytes that are here. Raises: OSError."""
        return sum(part.have for part in self.parts)

    @property
    def is_left(self) -> bool:
        """True if some of it is here, and some is not. Raises: OSError."""
        return self.have > 0 and not all(part.path.exists() for part in self.parts)


def part_of(download: Download, path: Path) -> Part:
    """What a note says of `download`, whose file programs find at `path`."""
    return Part(path=path, target=download.target, partial=download.partial, size=download.size)


@contextmanager
def noted(model: Unfinished) -> Iterator[None]:
    """Keeps a note of `model` during its download, and afterwards if the download did not finish."""
    note = _folder() / f"{hashlib.sha256(model.name.encode()).hexdigest()[:16]}.json"
    with suppress(OSError):  # without it the download is only missing in the list
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(model.model_dump_json(), encoding="utf-8")
    try:
        yield
    finally:
        with suppress(OSError):
            if not model.is_left:
                note.unlink()


def unfinished_models() -> Iterator[Unfinished]:
    """Yields the models whose download stopped before its end. Raises: OSError, ModelFileError."""
    for note in sorted(_folder().glob("*.json")):
        if note.stat().st_size > _LONGEST_NOTE:
            continue
        try:
            model = Unfinished.model_validate_json(note.read_bytes())
        except ValidationError:
            continue
        if model.is_left:
            yield model


def _folder() -> Path:
    return cache_folder() / "downloads"
