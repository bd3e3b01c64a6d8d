"""Networks with experts and latent attention: against a forward pass in NumPy, and bit for bit against themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import chatglm_native
import numpy as np
import numpy.typing as npt
import pytest

from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import CacheType, ModelSpec
from tests.decoding.test_gguf_network import least_cosine
from tests.expert_reference import ExpertReference, logits_without_ties
from tests.native_kernels import KERNELS
from tests.random_expert_gguf import AIR, FLASH, ExpertShape
from tests.random_gguf import Kind, write_random_gguf

TOKENS = 75  # of these an expert gets about 28, no multiple of any tile
SHAPES: dict[str, ExpertShape] = {
    "air": AIR,
    "air without norms of heads": replace(AIR, head_norms=False, joined_experts=True, shared=2),
    "flash": FLASH,
    "flash joined": replace(FLASH, joined_experts=True),
    "flash of old": replace(FLASH, joined_keys_values=True),
    "flash without dense layers": replace(FLASH, dense_layers=0),
    "flash with one expert": replace(FLASH, experts=1, used=1, scale=1.0),
    "flash as Ollama names it": replace(FLASH, architecture="glm4moelite", gating=None),
    "flash and a layer that is skipped": replace(FLASH, layers=4, extra=1),
    "air and a layer that is missing": replace(AIR, layers=4, extra=1, extra_tensors=False),
}
MIXED = [Kind.Q8_0, Kind.F16, Kind.Q4_K, Kind.Q6_K, Kind.Q5_0, Kind.F32]

Logits = npt.NDArray[np.float32]


def spec_of(path: Path, shape: ExpertShape, kinds: list[Kind], cache: CacheType = "f16") -> ModelSpec:
    spec = read_model_file(write_random_gguf(path / "model.gguf", shape, kinds, vocabulary="none")).spec
    return replace(spec, cache_type=cache)


def load(
    spec: ModelSpec, *, cpu: str = "auto", threads: int = 2, slots: int = 3, context: int = TOKENS
) -> chatglm_native.Model:
    pool = chatglm_native.ThreadPool(threads)
    return chatglm_native.Model(pool, spec, context=context, slots=slots, cpu=cpu)


def logits(model: chatglm_native.Model, rows: list[tuple[int, int, int]]) -> Logits:
    """After each row."""
    return cast(Logits, np.from_dlpack(model.forward(rows, list(range(len(rows))))))


def rows_of(slot: int, ids: list[int], start: int = 0) -> list[tuple[int, int, int]]:
    return [(slot, start + place, token) for place, token in enumerate(ids)]


def random_ids(seed: int, count: int = TOKENS) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(0, 320, count)]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_logits_are_those_of_the_reference(shape: ExpertShape, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, shape, [Kind.F32])
    ids, expected = logits_without_ties(ExpertReference(spec), TOKENS)
    for cpu in KERNELS:
        got = logits(load(spec, cpu=cpu), rows_of(0, ids)).astype(np.float64)
        assert least_cosine(got, expected) >= 0.9999, cpu


@pytest.mark.parametrize("kinds", [[Kind.Q8_0], MIXED], ids=["Q8_0", "mixed"])
@pytest.mark.parametrize("shape", [AIR, FLASH], ids=["air", "flash"])
def test_quantized_weights(shape: ExpertShape, kinds: list[Kind], tmp_path: Path) -> None:
    """With every expert used: quantized activations choose another one where two are nearly as good. Latent attention
    has five products one after the other.
    """
    spec, ids = spec_of(tmp_path, replace(shape, experts=shape.used), kinds), random_ids(1)
    least = 0.999 if shape is AIR else 0.998
    got = logits(load(spec), rows_of(0, ids)).astype(np.float64)
    assert least_cosine(got, ExpertReference(spec).logits(ids)) >= least


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize(("kinds", "cache"), [([Kind.F32], "q8"), (MIXED, "f16")], ids=["F32-q8", "mixed-f16"])
@pytest.mark.parametrize("shape", [AIR, FLASH], ids=["air", "flash"])
def test_no_bit_depends_on_what_is_computed_together(
    shape: ExpertShape, kinds: list[Kind], cache: CacheType, cpu: str, tmp_path: Path
) -> None:
    """Alone, in passes of any size, beside other sequences, after a copied prefix, with any number of threads."""
    spec, ids = spec_of(tmp_path, shape, kinds, cache), random_ids(2)
    model = load(spec, cpu=cpu)
    whole = logits(model, rows_of(0, ids))
    for size in (1, 28):
        model.truncate(1, 0)
        parts = [logits(model, rows_of(1, ids[at : at + size], at)) for at in range(0, TOKENS, size)]
        assert np.array_equal(np.concatenate(parts), whole), size
    model.copy(0, 2, 50)
    beside = logits(model, rows_of(2, ids[50:], 50) + rows_of(1, random_ids(3)))
    assert np.array_equal(beside[: TOKENS - 50], whole[50:])
    alone = load(spec, cpu=cpu, threads=1)
    mixed = [row for pair in zip(rows_of(0, ids), rows_of(1, random_ids(4)), strict=True) for row in pair]
    assert np.array_equal(logits(alone, mixed)[::2], whole)


@pytest.mark.parametrize("cpu", KERNELS)
def test_threads_that_share_the_positions_of_a_latent_query(cpu: str, tmp_path: Path) -> None:
    """Few queries deep in a context: a task has 512 positions of them. Many, of a prompt: it has all."""
    shape = replace(FLASH, layers=2, rank=128, query_rank=128, experts=1, used=1, scale=1.0)
    spec, ids = spec_of(tmp_path, shape, [Kind.F32]), random_ids(5, 1042)
    model = load(spec, cpu=cpu, context=1042)
    whole = logits(model, rows_of(0, ids))
    assert least_cosine(whole.astype(np.float64), ExpertReference(spec).logits(ids)) >= 0.9999
    for threads in (2, 1, 3):
        if threads != 2:
            model = load(spec, cpu=cpu, threads=threads, context=1042)
            model.forward(rows_of(0, ids[:1032]), [])
        for size in (1, 9):  # nine end in the third stretch
            model.copy(0, 1, 1012)
            parts = [logits(model, rows_of(1, ids[at : at + size], at)) for at in (1012, 1012 + size, 1012 + 2 * size)]
            assert np.array_equal(np.concatenate(parts), whole[1012 : 1012 + 3 * size]), (threads, size)
        two_depths = logits(model, [(0, 1032, ids[1032]), (2, 0, ids[0]), (1, 1012, ids[1012])])
        assert np.array_equal(two_depths, whole[[1032, 0, 1012]]), threads


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("shape", [AIR, FLASH], ids=["air", "flash"])
def test_a_cache_of_eight_bits_is_nearly_as_exact(shape: ExpertShape, cpu: str, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, replace(shape, experts=1, used=1, scale=1.0), [Kind.F32], "q8")
    ids = random_ids(6)
    cosine = least_cosine(
        logits(load(spec, cpu=cpu), rows_of(0, ids)).astype(np.float64), ExpertReference(spec).logits(ids)
    )
    assert 0.999 <= cosine < 0.999999  # with 16 bits it is nearer


@pytest.mark.parametrize("cpu", KERNELS)
def test_keys_and_latents_of_different_sizes(cpu: str, tmp_path: Path) -> None:
    """A trained model's rotated keys may be far larger than its latents: they have a scale of their own."""
    spec, ids = spec_of(tmp_path, replace(FLASH, experts=3), [Kind.F32]), random_ids(1)
    tensor = spec.tensors["blk.1.attn_kv_a_mqa.weight"]
    weights = np.memmap(tensor.path, "<f4", "r+", tensor.offset, tensor.shape)
    weights[FLASH.rank :] *= 30
    expected = ExpertReference(spec).logits(ids)
    got = logits(load(spec, cpu=cpu), rows_of(0, ids)).astype(np.float64)
    assert least_cosine(got, expected) >= 0.9999


@pytest.mark.parametrize("broken", [np.nan, np.inf, 3e38])
@pytest.mark.parametrize("shape", [AIR, FLASH], ids=["air", "flash"])
def test_numbers_that_are_none_stay_where_they_are(shape: ExpertShape, broken: float, tmp_path: Path) -> None:
    """Also in the router. Nothing of them is left for the next sequence."""
    spec = spec_of(tmp_path, shape, [Kind.F32])
    tensor = spec.tensors["token_embd.weight"]
    np.memmap(tensor.path, "<f4", "r+", tensor.offset, tensor.shape)[0] = broken
    ids = [token or 1 for token in random_ids(5)]
    fresh = logits(load(spec), rows_of(0, ids))
    assert np.isfinite(fresh).all()
    model = load(spec)
    logits(model, rows_of(0, [0] * TOKENS))
    assert np.array_equal(logits(model, rows_of(0, ids)), fresh)
    beside = logits(model, rows_of(0, ids) + rows_of(1, [0] * TOKENS))
    assert np.array_equal(beside[:TOKENS], fresh)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"latent": None}, "needs the figures latent and experts"),
        ({"experts": None}, "needs the figures latent and experts"),
        ({"latent__rank": 24}, "rank is 24"),
        ({"latent__query_rank": 1 << 20}, "query_rank is 1048576"),
        ({"rotary_size": 8}, "rotary_size is 8"),
        ({"rotary_size": 96}, "key_size - rotary_size is 0"),
        ({"experts__count": 2000}, "count of experts is 2000"),
        ({"experts__used": 9}, "used of experts is 9"),
        ({"experts__ffn_size": 33}, "ffn_size of experts is 33"),
        ({"experts__shared_ffn_size": 0}, "shared_ffn_size of experts is 0"),
        ({"experts__dense_layers": -1}, "dense_layers of experts is not between 0 and layers"),
        ({"experts__dense_layers": 4}, "dense_layers of experts is not between 0 and layers"),
        ({"experts__scale": float("nan")}, "scale of experts is not a finite number"),
        ({"experts__count": 7}, "the tensor blk.1.ffn_gate_inp.weight has the shape 8 x 256, not 7 x 256"),
        ({"experts__dense_layers": 0}, "the tensor blk.0.ffn_gate_inp.weight is missing"),
        ({"experts__ffn_size": 128}, "has the shape 8 x 256 x 256, not 8 x 128 x 256"),
    ],
)
def test_a_spec_that_the_core_cannot_run_says_why(changes: dict[str, Any], words: str, tmp_path: Path) -> None:
    spec = spec_of(tmp_path, FLASH, [Kind.F32])
    for name, value in changes.items():
        part, _, figure = name.partition("__")
        spec = replace(spec, **{part: replace(getattr(spec, part), **{figure: value}) if figure else value})
    with pytest.raises(ValueError) as refused:
        chatglm_native.check(spec)
    assert words in str(refused.value)
