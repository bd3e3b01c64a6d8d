"""The quantizers by ggml's number of the type that they write."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ...model_files.weight_types import WEIGHT_TYPES
from . import affine, simple, symmetric
from .arrays import Bytes, Floats

_QUANTIZERS: Mapping[str, Callable[[Floats], Bytes]] = {
    "F32": simple.f32,
    "F16": simple.f16,
    "BF16": simple.bf16,
    "Q4_0": simple.q4_0,
    "Q4_1": simple.q4_1,
    "Q5_0": simple.q5_0,
    "Q5_1": simple.q5_1,
    "Q8_0": simple.q8_0,
    "Q2_K": affine.q2_k,
    "Q3_K": symmetric.q3_k,
    "Q4_K": affine.q4_k,
    "Q5_K": affine.q5_k,
    "Q6_K": symmetric.q6_k,
    "IQ4_NL": symmetric.iq4_nl,
    "IQ4_XS": symmetric.iq4_xs,
}

_STRIP = 1 << 18
"""Weights that are quantized at a time: with fewer, NumPy spends more on its calls; with more, its arrays leave the
cache."""


def quantize(weights: Floats, number: int) -> Bytes:
    """(rows, columns) → (rows, bytes of a row) in the type `number`. Columns must be a multiple of its block's."""
    kind = WEIGHT_TYPES[number]
    blocks = weights.reshape(-1, kind.columns)
    step = _STRIP // kind.columns
    quantizer = _QUANTIZERS[kind.name]
    done = [quantizer(blocks[start : start + step]) for start in range(0, len(blocks), step)]
    return np.concatenate(done).reshape(len(weights), -1)
