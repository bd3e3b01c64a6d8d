"""Random weights: quantized blocks are drawn, not quantized from floats, because speed does not depend on the codes.

They are scaled so that activations neither vanish nor overflow on their way through the layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from chatglm_server.model_files.weight_types import WEIGHT_TYPES

_PIECE = 1 << 22
"""Weights drawn at a time, so that no more of a matrix is in memory."""


@dataclass(frozen=True)
class _Scale:
    """Where a quantized block has its float16 scale and, if it has one, its minimum; all other bits are drawn.

    A minimum of `minimum` times the scale makes the mean of the weights 0. Then they deviate by `deviation` times the
    scale.
    """

    at: int
    deviation: float
    minimum_at: int | None = None
    minimum: float = 0.0


_SCALES = {
    "Q4_0": _Scale(0, 4.61),
    "Q4_1": _Scale(0, 4.61, 2, -7.5),
    "Q5_0": _Scale(0, 9.23),
    "Q5_1": _Scale(0, 9.23, 2, -15.5),
    "Q8_0": _Scale(0, 73.6),
    "Q2_K": _Scale(80, 13.9, 82, 1.5),
    "Q3_K": _Scale(108, 43.3),
    "Q4_K": _Scale(0, 259, 2, 7.5),
    "Q5_K": _Scale(0, 527, 2, 15.5),
    "Q6_K": _Scale(208, 1366),
    "IQ4_NL": _Scale(0, 67.2),
    "IQ4_XS": _Scale(0, 1246),
}


def random_tensor(random: np.random.Generator, name: str, shape: tuple[int, ...], kind: str) -> Iterator[memoryview]:
    """The bytes of a tensor in a type, in pieces. Matrices deviate by columns ** -0.5; norms are 1 and biases 0."""
    if len(shape) == 1:
        yield np.full(shape, 0 if name.endswith("bias") else 1, "<f4").data
        return
    rows, columns = prod(shape[:-1]), shape[-1]
    at_a_time = max(1, _PIECE // columns)
    for begin in range(0, rows, at_a_time):
        piece = (min(at_a_time, rows - begin), columns)
        yield (random_blocks(random, piece, kind) if kind in _SCALES else _floats(random, piece, kind)).data


def random_blocks(random: np.random.Generator, shape: tuple[int, int], kind: str) -> npt.NDArray[np.uint8]:
    """(blocks, bytes of a block): random codes, and one scale such that the weights' deviation is columns ** -0.5."""
    rows, columns = shape
    block, scale = _BY_NAME[kind], _SCALES[kind]
    drawn = np.frombuffer(random.bytes(rows * columns // block.columns * block.nbytes), np.uint8)
    blocks: npt.NDArray[np.uint8] = drawn.reshape(-1, block.nbytes).copy()
    if kind == "Q8_0":
        codes = blocks[:, 2:].view(np.int8)
        np.maximum(codes, -127, out=codes)  # quantizers never write -128, and kernels may rely on that
    unit = columns**-0.5 / scale.deviation
    _set(blocks, scale.at, unit)
    if scale.minimum_at is not None:
        _set(blocks, scale.minimum_at, unit * scale.minimum)
    return blocks


def _set(blocks: npt.NDArray[np.uint8], at: int, value: float) -> None:
    blocks[:, at : at + 2] = np.frombuffer(np.array(value, "<f2").tobytes(), np.uint8)


def _floats(random: np.random.Generator, shape: tuple[int, int], kind: str) -> npt.NDArray[np.generic]:
    """Normally distributed."""
    values: npt.NDArray[np.float32] = random.standard_normal(shape, np.float32)
    values *= np.float32(shape[1] ** -0.5)
    if kind == "BF16":
        halves: npt.NDArray[np.uint16] = (values.view(np.uint32) >> 16).astype(np.uint16)
        return halves
    return values.astype(np.float16) if kind == "F16" else values


_BY_NAME = {block.name: block for block in WEIGHT_TYPES.values()}
