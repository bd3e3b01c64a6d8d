"""The mixes beside llama.cpp's own quantizer: the same type for every tensor."""

from __future__ import annotations

import ctypes
import dataclasses
import re
from pathlib import Path

import llama_cpp
import pytest

from chatglm_server.convert.mixes import MIXES, tensor_type
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.weight_types import WEIGHT_TYPES

from ..random_expert_gguf import AIR, FLASH, ExpertShape
from ..random_gguf import CHATGLM3, GLM4_0414, Shape, write_random_gguf

LAYERS, HEADS = 17, 8


@pytest.mark.parametrize("shape", [CHATGLM3, GLM4_0414], ids=["joined", "apart"])
@pytest.mark.parametrize("ffn", [512, 352])
@pytest.mark.parametrize("kv_heads", [1, 4])
def test_the_types_of_llama_cpp(tmp_path: Path, shape: Shape, ffn: int, kv_heads: int) -> None:
    compare(tmp_path, dataclasses.replace(shape, kv_heads=kv_heads, ffn=ffn))


@pytest.mark.parametrize("shape", [AIR, FLASH], ids=["air", "flash"])
@pytest.mark.parametrize("ffn", [256, 352])
def test_the_types_of_llama_cpp_with_experts(tmp_path: Path, shape: ExpertShape, ffn: int) -> None:
    compare(tmp_path, dataclasses.replace(shape, expert_ffn=ffn, dense_layers=2, experts=2, used=1))


def compare(tmp_path: Path, shape: Shape) -> None:
    shape = dataclasses.replace(shape, layers=LAYERS, heads=HEADS)
    source = write_random_gguf(tmp_path / "in.gguf", shape, vocabulary="none")
    tensors = read_model_file(source).spec.tensors
    for name, mix in MIXES.items():
        theirs = llama_cpp_types(source, mix.number) if name != "f32" else dict.fromkeys(tensors, "F32")
        ours = {
            tensor: WEIGHT_TYPES[
                tensor_type(
                    *(mix, tensor, spec.shape),
                    layers=LAYERS,
                    heads_per_value=HEADS // shape.kv_heads,
                    is_output=tensor == "output.weight",
                )
            ].name
            for tensor, spec in tensors.items()
        }
        assert ours == theirs, name


def test_a_row_that_fills_no_block_is_float16() -> None:
    for name in ("q4_0", "q4_k_m", "iq4_xs"):
        kind = tensor_type(MIXES[name], "x.weight", (4, 40), layers=1, heads_per_value=1, is_output=False)
        assert WEIGHT_TYPES[kind].name == "F16"


def llama_cpp_types(source: Path, number: int) -> dict[str, str]:
    """The type of each tensor in a file of the kind `number`, as llama.cpp logs it in a run that writes nothing."""
    lines: list[str] = []
    callback = llama_cpp.llama_log_callback(lambda level, text, data: lines.append(text.decode()))
    llama_cpp.llama_log_set(callback, ctypes.c_void_p(0))
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype, options.nthread, options.dry_run = number, 1, True
    try:
        status = llama_cpp.llama_model_quantize(str(source).encode(), b"/nowhere/out.gguf", ctypes.byref(options))
    finally:
        llama_cpp.llama_log_set(llama_cpp.llama_log_callback(), ctypes.c_void_p(0))
    assert status == 0
    found = re.findall(r"\] +(\S+) +- \[.*type = +(\w+), size =.*?(?:\((\w+)\))?\n", "".join(lines))
    return {name: (new or old).upper() for name, old, new in found}
