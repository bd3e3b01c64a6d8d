"""JSON files of a model's folder, which may be anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import ModelFileError

_MOST_BYTES = 128 << 20  # GLM-4's tokenizer.json has 20 MB


def read_json(path: Path) -> dict[str, Any]:
    """The object that a file holds. Raises: ModelFileError."""
    try:
        value = json.loads(read_bytes(path).decode())
    except (ValueError, RecursionError):
        raise ModelFileError(f"{path}: the file is not JSON; it was not copied whole, or is damaged") from None
    if not isinstance(value, dict):
        raise ModelFileError(f"{path}: the file is not a JSON object")
    return value


def read_json_if_there(path: Path) -> dict[str, Any]:
    """Reads a JSON object. Returns an empty one if the file does not exist. Raises: ModelFileError."""
    return read_json(path) if path.exists() else {}


def read_bytes(path: Path) -> bytes:
    """A file of at most 128 MiB. Raises: ModelFileError."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(data) > _MOST_BYTES:
        raise ModelFileError(f"{path}: the file has more than {_MOST_BYTES >> 20} MiB")
    return data
