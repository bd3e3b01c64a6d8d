"""Looks up a model's keys in a GGUF file, and checks their types and sizes.

Writers differ in a number's width, and write a number by layer where others write one for all.
"""

from __future__ import annotations

import math

from ..errors import ModelFileError
from .gguf import GGUFFile, Value

_MOST = (1 << 31) - 1


class ModelKeys:
    """The keys that begin with the name of the file's architecture. Each method raises ModelFileError."""

    def __init__(self, file: GGUFFile) -> None:
        self._file = file
        self.architecture = text(file, "general.architecture")
        if self.architecture is None:
            raise ModelFileError(f"{file.path}: the file lacks the key general.architecture")

    def has(self, name: str) -> bool:
        return self._name(name) in self._file.metadata

    def size(self, name: str, default: int | None = None) -> int:
        """A whole number from 1 to 2^31 - 1; missing, `default`."""
        value = self._value(name, default)
        if type(value) is not int or not 0 < value <= _MOST:
            raise self._error(name, f"is not a whole number from 1 to {_MOST}")
        return value

    def count(self, name: str, default: int = 0) -> int:
        """As `size`, but 0 is allowed, too."""
        value = self._value(name, default)
        return 0 if type(value) is int and value == 0 else self.size(name, default)

    def flag(self, name: str, default: bool) -> bool:
        """True or false; missing, `default`."""
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise self._error(name, "is neither true nor false")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number above 0; missing, `default`."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and value > 0):
            raise self._error(name, "is not a finite number above 0")
        return float(value)

    def numbers(self, name: str) -> list[float]:
        """An array; missing, an empty one."""
        value = self._file.metadata.get(self._name(name), [])
        if not isinstance(value, list) or not all(type(element) in (int, float) for element in value):
            raise self._error(name, "is not an array of numbers")
        return [float(element) for element in value if not isinstance(element, str)]

    def text(self, name: str) -> str | None:
        """None without the key."""
        return text(self._file, self._name(name))

    def _name(self, name: str) -> str:
        return f"{self.architecture}.{name}"

    def _error(self, name: str, what: str) -> ModelFileError:
        return ModelFileError(f"{self._file.path}: the file's {self._name(name)} {what}")

    def _value(self, name: str, default: float | None) -> Value:
        value = self._file.metadata.get(self._name(name), default)
        if value is None:
            raise ModelFileError(f"{self._file.path}: the file lacks the key {self._name(name)}")
        if not isinstance(value, list):
            return value
        if not value or any(element != value[0] for element in value):
            raise self._error(name, "differs by layer, which this server does not run")
        return value[0]


def text(file: GGUFFile, key: str) -> str | None:
    """The text of any key; None without it. Raises: ModelFileError."""
    value = file.metadata.get(key)
    if value is not None and not isinstance(value, str):
        raise ModelFileError(f"{file.path}: the file's {key} is not text")
    return value
