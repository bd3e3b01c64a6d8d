"""The tensors that a folder must hold, and the GGUF tensors that are made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from .quantizers.arrays import Floats
from .safetensors_folder import StoredTensor


class Tensor(Protocol):
    """A tensor to write: its shape with the rows first, and a way to read some of its rows (a vector's values)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def rows(self, start: int, stop: int) -> Floats:
        """float32. Raises: ModelFileError."""


class Expected(NamedTuple):
    """Tensors that must be in the folder, all of one shape; `made` turns them into tensors with GGUF's names."""

    names: Sequence[str]
    shape: tuple[int, ...]
    made: Callable[[Sequence[StoredTensor]], Mapping[str, Tensor]]
    optional: bool = False


def alone(name: str, gguf_name: str, shape: tuple[int, ...], optional: bool = False) -> Expected:
    """A tensor that is written as it is."""
    return Expected([name], shape, lambda stored: {gguf_name: stored[0]}, optional)


def stacked(names: Sequence[str], gguf_name: str, shape: tuple[int, ...]) -> Expected:
    """Tensors that are stacked into one, in this order."""
    return Expected(names, shape, lambda stored: {gguf_name: _Stack(stored)})


def keys_and_values(name: str, gguf_prefix: str, heads: int, key: int, value: int, rank: int) -> Expected:
    """A matrix with each head's key rows and then its value rows. It is split in two, and the keys are transposed."""

    def made(stored: Sequence[StoredTensor]) -> Mapping[str, Tensor]:
        return {
            f"{gguf_prefix}attn_k_b.weight": _Heads(stored[0], (heads, rank, key), key + value, 0, transposed=True),
            f"{gguf_prefix}attn_v_b.weight": _Heads(stored[0], (heads, value, rank), key + value, key),
        }

    return Expected([name], (heads * (key + value), rank), made)


@dataclass(frozen=True)
class _Stack:
    parts: Sequence[StoredTensor]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.parts), *self.parts[0].shape)

    def rows(self, start: int, stop: int) -> Floats:
        return np.stack([part.rows(0, part.shape[0]) for part in self.parts[start:stop]])


@dataclass(frozen=True)
class _Heads:
    """Some rows of each head of a matrix."""

    whole: StoredTensor
    shape: tuple[int, ...]
    rows_of_head: int
    first: int
    transposed: bool = False

    def rows(self, start: int, stop: int) -> Floats:
        count = self.shape[2 if self.transposed else 1]
        firsts = [head * self.rows_of_head + self.first for head in range(start, stop)]
        parts = np.stack([self.whole.rows(first, first + count) for first in firsts])
        return np.ascontiguousarray(parts.transpose(0, 2, 1)) if self.transposed else parts
