"""Looks up figures in a model's config.json, and checks their types and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import ModelFileError

_LIMITS = {
    "vocab_size": 1 << 20,
    "hidden_size": 1 << 16,
    "layers": 1024,
    "heads": 1024,
    "kv_heads": 1024,
    "head_size": 1 << 12,
    "ffn_size": 1 << 20,
    "rank": 1 << 14,
    "experts": 1 << 10,
    "context_length": 1 << 24,
}
_LEAST, _MOST = 1e-30, 1e30  # GGUF keeps a number as float32


class ConfigReader:
    """The values of the file `path`. Each method raises ModelFileError."""

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self.values = values

    def error(self, name: str, what: str) -> ModelFileError:
        return ModelFileError(f"{self.path}: {name} = {self.values.get(name)!r:.80}: {what}")

    def size(self, name: str, meaning: str, default: int | None = None) -> int:
        value = self.values.get(name, default)
        if value is None:
            value = default
        if type(value) is not int or not 0 < value <= _LIMITS[meaning]:
            raise self.error(name, f"must be a whole number from 1 to {_LIMITS[meaning]}")
        return value

    def count(self, name: str, meaning: str, default: int) -> int:
        """As `size`, but 0 is allowed, too."""
        value = self.values.get(name, default)
        return 0 if type(value) is int and value == 0 else self.size(name, meaning, default)

    def number(self, name: str, default: float, values: Mapping[str, Any] | None = None) -> float:
        value = (self.values if values is None else values).get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not _LEAST <= value <= _MOST:
            raise self.error(name, f"must be a number above 0, from {_LEAST:g} to {_MOST:g}")
        return float(value)

    def tokens(self, name: str) -> list[int]:
        value = self.values.get(name)
        tokens = value if isinstance(value, list) else [] if value is None else [value]
        if not all(type(token) is int and 0 <= token < _LIMITS["vocab_size"] for token in tokens):
            raise self.error(name, "must be a token id, or a list of them")
        return tokens

    def rotary_embedding(self, share: float) -> tuple[float, float]:
        """Returns theta, and the share of a head that is rotated; `share` is the default."""
        rope = self.values.get("rope_parameters") or self.values.get("rope_scaling") or {}
        if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type", "default")) != "default":
            name = "rope_parameters" if "rope_parameters" in self.values else "rope_scaling"
            raise self.error(name, "not supported")
        theta = self.number("rope_theta", self.number("rope_theta", 10000.0), rope)
        return theta, self.number("partial_rotary_factor", self.number("partial_rotary_factor", share), rope)

    def require(self, name: str, *wanted: Any) -> None:
        """Checks that the value is one of `wanted`, which are supported. A missing value means the first."""
        if self.values.get(name, wanted[0]) not in wanted:
            raise self.error(name, f"can only be converted if it is {wanted[0]!r}")
