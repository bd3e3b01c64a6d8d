"""Networks that no model file of today has: the compute core runs what a `ModelSpec` says, without a line of C++.

Each is compared, at every position, with the reference in NumPy. The weights lie in a plain file that is written here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import chatglm_native
import numpy as np
import pytest
from chatglm_bin_writer import DType, encode

from chatglm_server.model_files.spec import ModelSpec, RotaryLayout, TensorSpec
from tests.native_kernels import KERNELS
from tests.reference import Reference

TOKENS = 70


@dataclass(frozen=True)
class Toy:
    """Its defaults are today's network: heads of hidden / heads, half of each rotated, everything joined, biases."""

    hidden: int = 64
    heads: int = 4
    kv_heads: int = 2
    key_size: int = 16
    value_size: int = 16
    rotary_size: int = 8
    rotary_layout: RotaryLayout = "interleaved"
    ffn: int = 96
    joined_attention: bool = True
    joined_ffn: bool = True
    biases: bool = True
    output_biases: bool = False
    extra_norms: bool = False
    tied: bool = False
    epsilon: float = 1e-5
    theta: float = 10000.0


TOYS = {
    "today": Toy(),
    "head size of its own": Toy(hidden=96, heads=5, kv_heads=5, key_size=64, value_size=64, rotary_size=32),
    "values smaller than keys": Toy(heads=6, kv_heads=3, key_size=48, value_size=16, rotary_size=24),
    "values larger than keys": Toy(key_size=16, value_size=80, rotary_size=16),
    "halves": Toy(key_size=32, value_size=32, rotary_layout="halves", rotary_size=16),
    "all of a head rotated": Toy(key_size=32, value_size=32, rotary_layout="halves", rotary_size=32),
    "one pair rotated": Toy(rotary_size=2, theta=1e6),
    "apart": Toy(joined_attention=False, joined_ffn=False),
    "apart without biases": Toy(joined_attention=False, biases=False),
    "biases everywhere": Toy(output_biases=True),
    "extra norms": Toy(extra_norms=True, biases=False),
    "tied": Toy(tied=True),
    "one key/value head": Toy(heads=8, kv_heads=1),
    "everything": Toy(
        hidden=160,
        heads=6,
        kv_heads=2,
        key_size=48,
        value_size=32,
        rotary_size=20,
        rotary_layout="halves",
        ffn=224,
        joined_attention=False,
        joined_ffn=False,
        biases=False,
        extra_norms=True,
        tied=True,
        epsilon=1e-6,
        theta=5e5,
    ),
}
LAYERS, VOCAB = 2, 90  # no multiple of 16


def shapes(toy: Toy) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the tensors."""
    queries, keys, values = toy.heads * toy.key_size, toy.kv_heads * toy.key_size, toy.kv_heads * toy.value_size
    yield "token_embd.weight", (VOCAB, toy.hidden)
    for layer in range(LAYERS):
        rows = {"attn_qkv": queries + keys + values}
        if not toy.joined_attention:
            rows = {"attn_q": queries, "attn_k": keys, "attn_v": values}
        rows |= {"ffn_up": 2 * toy.ffn} if toy.joined_ffn else {"ffn_gate": toy.ffn, "ffn_up": toy.ffn}
        rows |= {"attn_output": toy.hidden, "ffn_down": toy.hidden}
        columns = {"attn_output": toy.heads * toy.value_size, "ffn_down": toy.ffn}
        for name, count in rows.items():
            yield f"blk.{layer}.{name}.weight", (count, columns.get(name, toy.hidden))
            if toy.output_biases or (toy.biases and name.startswith("attn") and name != "attn_output"):
                yield f"blk.{layer}.{name}.bias", (count,)
        for norm in ("attn_norm", "ffn_norm", *(("post_attention_norm", "post_ffw_norm") if toy.extra_norms else ())):
            yield f"blk.{layer}.{norm}.weight", (toy.hidden,)
    yield "output_norm.weight", (toy.hidden,)
    if not toy.tied:
        yield "output.weight", (VOCAB, toy.hidden)


def write(toy: Toy, path: Path, types: tuple[DType, ...] = (DType.F32,)) -> ModelSpec:
    """The tensors, one after the other; matrices take turns with the types."""
    random = np.random.default_rng(0)
    tensors: dict[str, TensorSpec] = {}
    with path.open("wb") as file:
        for number, (name, shape) in enumerate(shapes(toy)):
            values = random.normal(0, shape[-1] ** -0.5, shape)
            if len(shape) == 1:
                values = random.normal(1 if "norm" in name else 0, 0.3, shape)
            kind = types[number % len(types)] if len(shape) == 2 else DType.F32
            data = encode(values.astype(np.float32), kind)
            tensors[name] = TensorSpec(path, kind, shape, file.tell(), len(data))
            file.write(data)
    return ModelSpec(
        path=path,
        architecture="chatglm",
        vocab_size=VOCAB,
        hidden_size=toy.hidden,
        layers=LAYERS,
        heads=toy.heads,
        kv_heads=toy.kv_heads,
        key_size=toy.key_size,
        value_size=toy.value_size,
        rotary_size=toy.rotary_size,
        rotary_layout=toy.rotary_layout,
        ffn_size=toy.ffn,
        context_length=TOKENS,
        norm_epsilon=toy.epsilon,
        rope_theta=toy.theta,
        tensors=tensors,
    )


def cosines(spec: ModelSpec, cpu: str) -> float:
    """The least of all positions, which are read in passes of 33 tokens."""
    ids = [int(token) for token in np.random.default_rng(1).integers(0, VOCAB, TOKENS)]
    expected = Reference(spec).logits(ids)
    model = chatglm_native.Model(chatglm_native.ThreadPool(2), spec, context=TOKENS, slots=1, cpu=cpu)
    rows = [(0, place, token) for place, token in enumerate(ids)]
    parts = [rows[begin : begin + 33] for begin in range(0, TOKENS, 33)]
    got = np.concatenate([np.from_dlpack(model.forward(part, list(range(len(part))))) for part in parts]).astype(
        np.float64
    )
    norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
    return float(((got * expected).sum(axis=1) / norms).min())


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("toy", TOYS.values(), ids=TOYS.keys())
def test_logits_are_those_of_the_reference(toy: Toy, cpu: str, tmp_path: Path) -> None:
    assert cosines(write(toy, tmp_path / "weights"), cpu) >= 0.9999


@pytest.mark.parametrize("cpu", KERNELS)
def test_no_bit_depends_on_what_is_computed_together(cpu: str, tmp_path: Path) -> None:
    spec = write(TOYS["everything"], tmp_path / "weights", (DType.Q8_0, DType.F16, DType.Q4_1))
    rows = [(0, place, 7 * place % VOCAB) for place in range(TOKENS)]
    model = chatglm_native.Model(chatglm_native.ThreadPool(2), spec, context=TOKENS, slots=2, cpu=cpu)
    whole = np.from_dlpack(model.forward(rows, list(range(TOKENS))))
    single = [np.from_dlpack(model.forward([(1, *row[1:])], [0])) for row in rows]
    assert np.array_equal(np.concatenate(single), whole)


def test_the_reference_tells_these_networks_apart(tmp_path: Path) -> None:
    """What a spec says matters: with another layout, size, scale or epsilon the logits are not those."""
    spec = write(TOYS["everything"], tmp_path / "weights")
    ids = list(range(40))
    expected = Reference(spec).logits(ids)
    for change in (
        replace(spec, rotary_layout="interleaved"),
        replace(spec, rotary_size=48),
        replace(spec, rope_theta=1e4),
        replace(spec, norm_epsilon=0.1),
    ):
        assert np.abs(Reference(change).logits(ids) - expected).max() > 1e-3


@pytest.mark.parametrize("toy", [TOYS["today"], TOYS["apart"], TOYS["everything"]], ids=["joined", "apart", "all"])
def test_types_may_differ_from_tensor_to_tensor(toy: Toy, tmp_path: Path) -> None:
    """As in GGUF's mixes: every matrix has a type of its own, and each type holds every kind of matrix once."""
    for turn in range(len(DType)):
        types = tuple(DType)[turn:] + tuple(DType)[:turn]
        assert cosines(write(toy, tmp_path / "weights", types), "auto") >= 0.998, types


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"key_size": 24}, "key_size is 24"),
        ({"value_size": 8}, "value_size is 8"),
        ({"rotary_size": 18}, "rotary_size is 18"),
        ({"rotary_size": 7}, "rotary_size is 7"),
        ({"heads": 3, "kv_heads": 2}, "multiple of kv_heads"),
        ({"heads": 5, "kv_heads": 5}, "multiple of 32"),
        ({"hidden_size": 72}, "hidden_size is 72"),
        ({"architecture": "glm9"}, "glm9; the core runs chatglm"),
        ({"layers": 1025}, "layers is 1025"),
        ({"layers": 3}, "the tensor blk.2.attn_norm.weight is missing"),
        ({"layers": 1}, "has no tensor blk.1."),
        ({"ffn_size": 64}, "the tensor blk.0.ffn_up.weight has the shape 192 x 64, not 128 x 64"),
    ],
)
def test_a_spec_that_the_core_cannot_run_says_why(change: dict[str, object], words: str, tmp_path: Path) -> None:
    spec = replace(write(Toy(), tmp_path / "weights"), **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError) as refused:
        chatglm_native.check(spec)
    assert words in str(refused.value)
