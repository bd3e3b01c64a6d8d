"""The names of quantized files (``q4_k_m``), and the type that each gives to each tensor.

The rules are llama.cpp's for models without an importance matrix (``src/llama-quant.cpp``): tensors that a model
depends on more than on others get more bits, and a tensor whose columns do not fill superblocks gets a type of smaller
blocks. What chooses experts stays float32.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..model_files.weight_types import WEIGHT_TYPES

_NUMBERS = {kind.name: number for number, kind in WEIGHT_TYPES.items()}
_VALUES = re.compile(r"\.(attn_v|attn_qkv)\.weight$")
_DOWN = re.compile(r"\.ffn_down(_exps|_shexp)?\.weight$")
_ROUTER = ".ffn_gate_inp.weight"
_SMALLER_BLOCKS = {
    "Q2_K": "Q4_0",
    "Q3_K": "Q4_0",
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
    "IQ4_XS": "IQ4_NL",
}

Rule = Callable[[int, int], str | None]
"""The type of the tensor of a layer, by the layer and the number of layers; None for the mix's own."""


def _always(kind: str) -> Rule:
    return lambda layer, layers: kind


def _first(kind: str, share: int, rest: str | None = None) -> Rule:
    """For the first `share`-th part of the layers."""
    return lambda layer, layers: kind if layer < layers // share else rest


def _first_layers(kind: str, count: int, rest: str | None = None) -> Rule:
    return lambda layer, layers: kind if layer < count else rest


def _half(kind: str) -> Rule:
    """For the first and the last eighth of the layers, and for every third between them."""

    def rule(layer: int, layers: int) -> str | None:
        eighth = layers // 8
        return kind if layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2 else None

    return rule


def _never(layer: int, layers: int) -> str | None:
    return None


@dataclass(frozen=True)
class Mix:
    """A kind of quantized file: llama.cpp's number of it, the type of most tensors, and the exceptions."""

    number: int
    base: str
    values: Rule = _never
    """Of the matrix that makes the attention's values, alone or joined with queries and keys."""
    shared_values: Rule | None = None
    """The same where at least four heads share a value; without it, `values`."""
    down: Rule = _never
    """Of the last matrix of a feed-forward layer."""
    attention: str | None = None
    """Of the last matrix of attention."""


MIXES: Mapping[str, Mix] = {
    "f32": Mix(0, "F32"),
    "f16": Mix(1, "F16"),
    "bf16": Mix(32, "BF16"),
    "q4_0": Mix(2, "Q4_0"),
    "q4_1": Mix(3, "Q4_1"),
    "q5_0": Mix(8, "Q5_0"),
    "q5_1": Mix(9, "Q5_1"),
    "q8_0": Mix(7, "Q8_0"),
    "q2_k": Mix(10, "Q2_K", _always("Q3_K"), _always("Q4_K"), _always("Q3_K"), "Q3_K"),
    "q3_k_s": Mix(11, "Q3_K"),
    "q3_k_m": Mix(12, "Q3_K", _first_layers("Q5_K", 2, "Q4_K"), None, _first("Q5_K", 16, "Q4_K"), "Q4_K"),
    "q3_k_l": Mix(13, "Q3_K", _always("Q5_K"), None, _always("Q5_K"), "Q5_K"),
    "q4_k_s": Mix(14, "Q4_K", _first_layers("Q5_K", 4), None, _first("Q5_K", 8)),
    "q4_k_m": Mix(15, "Q4_K", _half("Q6_K"), None, _half("Q6_K")),
    "q5_k_s": Mix(16, "Q5_K"),
    "q5_k_m": Mix(17, "Q5_K", _half("Q6_K"), None, _half("Q6_K")),
    "q6_k": Mix(18, "Q6_K"),
    "iq4_nl": Mix(25, "IQ4_NL", _never, _always("Q5_K"), _first("Q5_K", 8)),
    "iq4_xs": Mix(30, "IQ4_XS", _never, _always("Q5_K"), _first("Q5_K", 8)),
}
"""Each mix by its name. The names and numbers are llama.cpp's."""

_FLOATS = ("F32", "F16", "BF16")


def tensor_type(
    mix: Mix, name: str, shape: tuple[int, ...], *, layers: int, heads_per_value: int, is_output: bool
) -> int:
    """ggml's number of the type of a tensor. `is_output`: its product gives the logits.

    A row that fills no block of 32 weights is float16.
    """
    if len(shape) == 1 or name.endswith(_ROUTER):
        return _NUMBERS["F32"]
    kind = mix.base
    if kind not in _FLOATS:
        kind = _quantized_type(mix, name, shape[-1], layers, heads_per_value, is_output)
    if shape[-1] % WEIGHT_TYPES[_NUMBERS[kind]].columns:
        kind = _SMALLER_BLOCKS.get(kind, "F16")
    if shape[-1] % WEIGHT_TYPES[_NUMBERS[kind]].columns:
        kind = "F16"
    return _NUMBERS[kind]


def _quantized_type(mix: Mix, name: str, columns: int, layers: int, heads_per_value: int, is_output: bool) -> str:
    if is_output:
        return "Q8_0" if mix.base == "Q8_0" or columns % 256 else "Q6_K"
    layer = int(name.split(".")[1]) if name.startswith("blk.") else 0
    chosen = None
    if _VALUES.search(name):
        shared = heads_per_value >= 4 and mix.shared_values is not None
        chosen = (mix.shared_values if shared and mix.shared_values else mix.values)(layer, layers)
    elif _DOWN.search(name):
        chosen = mix.down(layer, layers)
    elif name.endswith(".attn_output.weight"):
        chosen = mix.attention
    return chosen or mix.base
