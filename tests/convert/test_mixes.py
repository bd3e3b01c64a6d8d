"""The mixes beside llama.cpp's own quantizer: the same type for every tensor."""

from __future__ import annotations

import ctypes
from pathlib import Path

import gguf
import pytest

from chatglm_server.convert.mixes import MIXES, tensor_type
from chatglm_server.model_files.weight_types import WEIGHT_TYPES

from ..random_gguf import CHATGLM3, GLM4_0414, Shape, write_random_gguf


@pytest.mark.parametrize("shape", [CHATGLM3, GLM4_0414], ids=["joined", "apart"])
@pytest.mark.parametrize("ffn", [512, 352])
@pytest.mark.parametrize("kv_heads", [1, 4])
def test_the_types_of_llama_cpp(tmp_path: Path, shape: Shape, ffn: int, kv_heads: int) -> None:
    llama_cpp = pytest.importorskip(
        "llama_cpp", reason="llama-cpp-python is not installed: pip install '.[test-upstream]'"
    )
    import dataclasses

    layers, heads = 17, 8
    shape = dataclasses.replace(shape, layers=layers, heads=heads, kv_heads=kv_heads, ffn=ffn)
    source = write_random_gguf(tmp_path / "in.gguf", shape, vocabulary="none")
    for name, mix in MIXES.items():
        if mix.base == "F32":
            continue
        options = llama_cpp.llama_model_quantize_default_params()
        options.ftype, options.nthread = mix.number, 1
        out = tmp_path / f"{name}.gguf"
        assert llama_cpp.llama_model_quantize(str(source).encode(), str(out).encode(), ctypes.byref(options)) == 0
        reader = gguf.GGUFReader(out)
        for tensor in reader.tensors:
            dimensions = tuple(int(size) for size in reversed(tensor.shape))
            ours = tensor_type(
                mix,
                tensor.name,
                dimensions,
                layers=layers,
                heads_per_value=heads // kv_heads,
                is_output=tensor.name == "output.weight",
            )
            assert WEIGHT_TYPES[ours].name == tensor.tensor_type.name, (name, tensor.name)
        out.unlink()
