"""Arrays of weights and codes, and the bytes that they become."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

SUPERBLOCK = 256
"""Weights that share the float16 numbers of a K type or IQ4_XS."""

_TINY = 1e-38
"""The inverse of a smaller number does not fit into float32."""


def inverse(values: Floats) -> Floats:
    """1 / value, and 0 for numbers whose inverse float32 cannot hold."""
    made: Floats = np.divide(np.float32(1), values, out=np.zeros_like(values), where=np.abs(values) > _TINY)
    return made


def farthest(values: Floats, axis: int) -> Floats:
    """The values farthest from zero along `axis`, with their signs; the axis keeps the length 1."""
    return np.take_along_axis(values, np.expand_dims(np.abs(values).argmax(axis=axis), axis), axis=axis)


def halves(values: Floats) -> Floats:
    """The nearest numbers that float16 holds."""
    return values.astype(np.float16).astype(np.float32)


def half_bytes(values: Floats) -> Bytes:
    """(blocks) → (blocks, 2): a float16 each."""
    return values.astype("<f2").view(np.uint8).reshape(-1, 2)


def bits(codes: Bytes, first: int, count: int) -> Bytes:
    """`count` bits of each code, from bit `first` on."""
    found: Bytes = codes >> np.uint8(first) & np.uint8((1 << count) - 1)
    return found


def stacked(rows: Sequence[Bytes], count: int) -> Bytes:
    """The lowest `count` bits of each row's codes side by side in one byte, those of the first row lowest."""
    packed = np.zeros_like(rows[0])
    for place, row in enumerate(rows):
        packed |= bits(row, 0, count) << np.uint8(place * count)
    return packed


def nibbles(codes: Bytes) -> Bytes:
    """(…, columns) → (…, columns / 2): the first half's codes in the low four bits, the second half's in the high."""
    return stacked(np.split(codes, 2, axis=-1), 4)


def pairs_of_bits(codes: Bytes) -> Bytes:
    """(…, 4, columns) → (…, columns): the lowest two bits of four codes, the first row's lowest."""
    return stacked([codes[..., row, :] for row in range(4)], 2)


def single_bits(codes: Bytes, bit: int) -> Bytes:
    """(blocks, 8, columns) → (blocks, columns): one bit of eight codes, the first row's lowest."""
    return stacked([bits(codes[:, row], bit, 1) for row in range(8)], 1)


def joined(*parts: Bytes) -> Bytes:
    """The parts of each block side by side."""
    return np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
