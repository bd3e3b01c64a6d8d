"""Reads files of recorded model text: JSON Lines, one answer a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from ..errors import ModelFileError
from ..formats.registry import FORMATS

MAX_LINE_BYTES = 4 << 20
MAX_FILE_BYTES = 64 << 20


class Recording(BaseModel):
    """One recorded answer. Ignores other keys, so that the lines of parser cases can be replayed as they are."""

    raw: str
    """The model's text, special tokens spelled out."""
    format: str | None = None
    """The format's name in the registry; None: the engine's default."""
    prompt_ends_in_think: bool = False
    chunk_size: int = Field(0, ge=0, le=1 << 30)
    """Characters a piece; 0: all at once, or as `cuts` say."""
    cuts: list[Annotated[int, Field(ge=0, le=1 << 30)]] = []
    """Characters of each piece, as the model's tokens were; `chunk_size` counts more."""
    delay_ms: float = Field(0, ge=0, le=600_000)
    """Milliseconds between two pieces."""
    finish_reason: Literal["stop", "tool_calls", "length"] = "stop"
    """"length" if the text was cut off. The parser tells "stop" from "tool_calls"."""

    @field_validator("format")
    @classmethod
    def _check_format(cls, value: str | None) -> str | None:
        if value is not None and value not in FORMATS:
            raise ValueError(f"{value!r} is not a format; choose one of {', '.join(FORMATS)}")
        return value

    def pieces(self, length: int) -> Iterator[str]:
        """Yields the first `length` characters in pieces of `chunk_size`, or as they were cut."""
        text = self.raw[:length]
        if self.cuts and not self.chunk_size:
            for size in self.cuts:
                piece, text = text[:size], text[size:]
                if piece:
                    yield piece
        size = self.chunk_size or max(length, 1)
        for start in range(0, len(text), size):
            yield text[start : start + size]


def read_recordings(path: Path) -> list[Recording]:
    """Reads the file at `path`; skips blank lines.

    Raises: ModelFileError, which names the line.
    """
    recordings: list[Recording] = []
    try:
        with path.open("rb") as file:
            number, size = 0, 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number, size = number + 1, size + len(line)
                if len(line) > MAX_LINE_BYTES:
                    raise ModelFileError(f"{path}:{number}: the line is longer than {MAX_LINE_BYTES >> 20} MiB")
                if size > MAX_FILE_BYTES:
                    raise ModelFileError(f"{path}:{number}: the file is larger than {MAX_FILE_BYTES >> 20} MiB")
                if line.strip():
                    recordings.append(_parse(line, f"{path}:{number}"))
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from None
    if not recordings:
        raise ModelFileError(f'{path}: holds no recording; a line is {{"raw": "text that the model wrote"}}')
    return recordings


def _parse(line: bytes, where: str) -> Recording:
    try:
        return Recording.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise ModelFileError(f"{where}: {name}: {message}" if name else f"{where}: {message}") from None
