"""Attention at some depth: against the reference in NumPy, and bit for bit against itself.

Its cache holds whole numbers, with one scale for a key or a value, and it takes 64 positions at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import chatglm_native
import numpy as np
import numpy.typing as npt
import pytest

from chatglm_server.model_files.spec import ModelSpec
from tests.decoding.test_native_specs import VOCAB, Toy, write
from tests.native_kernels import KERNELS
from tests.reference import Reference

TOKENS = 270  # five spans of 64, the last of them not full
HEADS = Toy(heads=16, kv_heads=1, key_size=128, value_size=128, rotary_size=64)  # as in GLM-4, for one key/value head

Logits = npt.NDArray[np.float32]


def load(spec: ModelSpec, cpu: str, *, threads: int = 2) -> chatglm_native.Model:
    return chatglm_native.Model(chatglm_native.ThreadPool(threads), spec, context=TOKENS, slots=2, cpu=cpu)


def logits(model: chatglm_native.Model, slot: int, ids: Sequence[int], start: int = 0) -> Logits:
    """After each token."""
    rows = [(slot, start + place, token) for place, token in enumerate(ids)]
    return cast(Logits, np.from_dlpack(model.forward(rows, list(range(len(rows))))))


def random_ids(count: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(2).integers(0, VOCAB, count)]


def change(spec: ModelSpec, name: str, places: slice, values: float) -> None:
    """Overwrites some of a tensor's float32."""
    tensor = spec.tensors[name]
    weights = np.memmap(tensor.path, "<f4", "r+", tensor.offset, (tensor.nbytes // 4,))
    weights[places] = values


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize(
    ("offsets", "least"),
    [({}, 0.99999), ({100: 40.0}, 0.9999), ({10: 20.0, 100: -40.0}, 0.9999)],
    ids=["noise", "a large dimension", "two, one of them rotated"],
)
def test_logits_at_depth_are_those_of_the_reference(
    offsets: dict[int, float], least: float, cpu: str, tmp_path: Path
) -> None:
    """Also with biases of keys as large as trained models have them: they leave the other dimensions fewer codes."""
    spec = write(HEADS, tmp_path / "weights")
    for dimension, value in offsets.items():
        change(spec, "blk.1.attn_qkv.bias", slice(16 * 128 + dimension, 16 * 128 + dimension + 1), value)
    ids = random_ids(TOKENS)
    expected = Reference(spec).logits(ids)
    got = logits(load(spec, cpu), 0, ids).astype(np.float64)
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
    assert ((got * expected).sum(axis=1) / norms).min() >= least


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("heads", [16, 3, 80], ids=lambda heads: f"{heads} queries a token")
def test_no_bit_depends_on_the_queries_beside(heads: int, cpu: str, tmp_path: Path) -> None:
    """Of a key/value head a token has fewer queries than are computed together, more, or a number that does not fit."""
    toy = replace(HEADS, hidden=64, heads=heads * 2, kv_heads=2, key_size=16, value_size=32, rotary_size=16)
    spec, ids, start = write(toy, tmp_path / "weights"), random_ids(200), 130
    whole = logits(load(spec, cpu), 0, ids)[start:]
    model = load(spec, cpu, threads=1)
    logits(model, 1, ids[:start])
    for size in (1, 5, 64, 70):
        model.copy(1, 0, start)
        parts = [logits(model, 0, ids[at : at + size], at) for at in range(start, len(ids), size)]
        assert np.array_equal(np.concatenate(parts), whole), size


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("broken", [np.nan, np.inf, 3e38, 1e-42])
def test_what_a_sequence_left_behind_changes_nothing(broken: float, cpu: str, tmp_path: Path) -> None:
    """Not even numbers that are none, in the places that the next sequence has not written yet."""
    spec = write(replace(HEADS, key_size=32, value_size=48, rotary_size=16), tmp_path / "weights")
    change(spec, "token_embd.weight", slice(0, 64), broken)  # of token 0
    ids = [token or 1 for token in random_ids(90)]
    fresh = logits(load(spec, cpu), 0, ids)
    assert np.isfinite(fresh).all()
    model = load(spec, cpu)
    logits(model, 0, [0] * 128)
    assert np.array_equal(logits(model, 0, ids[:40]), fresh[:40])
    assert np.array_equal(logits(model, 0, ids[40:], 40), fresh[40:])
