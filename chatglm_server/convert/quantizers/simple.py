"""The types without superblocks, byte for byte as ggml's reference quantizes: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, and floats.

Each function takes (blocks, columns of a block) and returns (blocks, bytes of a block).
"""

from __future__ import annotations

import numpy as np

from .arrays import Bytes, Floats, farthest, half_bytes, inverse, joined, nibbles


def f32(blocks: Floats) -> Bytes:
    return blocks.astype("<f4").view(np.uint8)


def f16(blocks: Floats) -> Bytes:
    return blocks.astype("<f2").view(np.uint8)


def bf16(blocks: Floats) -> Bytes:
    """The upper half of a float32, rounded to even."""
    bits = np.ascontiguousarray(blocks).view(np.uint32)
    return ((bits + (0x7FFF + (bits >> 16 & 1))) >> 16).astype("<u2").view(np.uint8)


def q8_0(blocks: Floats) -> Bytes:
    """float16 scale, 32 signed bytes: value = scale * q."""
    scale = np.abs(blocks).max(axis=1) / np.float32(127)
    scaled = blocks * inverse(scale)[:, None]
    size = np.abs(scaled)
    whole = np.floor(size)
    codes = np.copysign(whole + (size - whole >= 0.5), scaled)  # half away from zero, as C rounds
    return joined(half_bytes(scale), codes.astype(np.int8).view(np.uint8))


def q4_0(blocks: Floats) -> Bytes:
    """float16 scale, 16 bytes of nibbles: value = scale * (q - 8)."""
    scale, codes = _symmetric(blocks, 8)
    return joined(half_bytes(scale), nibbles(codes))


def q5_0(blocks: Floats) -> Bytes:
    """float16 scale, 4 bytes of fifth bits, 16 bytes of nibbles: value = scale * (q - 16)."""
    scale, codes = _symmetric(blocks, 16)
    return joined(half_bytes(scale), _fifth_bits(codes), nibbles(codes))


def q4_1(blocks: Floats) -> Bytes:
    """float16 scale and minimum, 16 bytes of nibbles: value = scale * q + minimum."""
    scale, minimum, codes = _affine(blocks, 15)
    return joined(half_bytes(scale), half_bytes(minimum), nibbles(codes))


def q5_1(blocks: Floats) -> Bytes:
    """float16 scale and minimum, 4 bytes of fifth bits, nibbles: value = scale * q + minimum."""
    scale, minimum, codes = _affine(blocks, 31)
    return joined(half_bytes(scale), half_bytes(minimum), _fifth_bits(codes), nibbles(codes))


def _symmetric(blocks: Floats, half_range: int) -> tuple[Floats, Bytes]:
    """Scale and codes where the value farthest from zero, with its sign, becomes code 0."""
    extreme = farthest(blocks, axis=1)[:, 0]
    scale = extreme / np.float32(-half_range)
    codes = blocks * inverse(scale)[:, None] + np.float32(half_range + 0.5)
    return scale, codes.astype(np.uint8).clip(0, 2 * half_range - 1)


def _affine(blocks: Floats, top: int) -> tuple[Floats, Floats, Bytes]:
    """Scale, minimum and codes where the smallest value is code 0 and the largest is `top`."""
    minimum = blocks.min(axis=1)
    scale = (blocks.max(axis=1) - minimum) / np.float32(top)
    codes = (blocks - minimum[:, None]) * inverse(scale)[:, None] + np.float32(0.5)
    return scale, minimum, codes.astype(np.uint8).clip(0, top)


def _fifth_bits(codes: Bytes) -> Bytes:
    """The fifth bit of every column, column 0 in the lowest bit."""
    return np.packbits(codes >> 4, axis=1, bitorder="little")
