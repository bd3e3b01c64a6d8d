"""The quantizers beside the `gguf` package, whose decoders are independent of them, and beside llama.cpp's."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import pytest

from chatglm_server.convert.gguf_writer import TensorData, write_gguf
from chatglm_server.convert.quantizers.arrays import Floats
from chatglm_server.convert.quantizers.table import quantize
from chatglm_server.model_files.weight_types import WEIGHT_TYPES

SIMPLE = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
SEARCHED = {
    "Q2_K": 0.296,
    "Q3_K": 0.151,
    "Q4_K": 0.0714,
    "Q5_K": 0.0362,
    "Q6_K": 0.0178,
    "IQ4_NL": 0.0760,
    "IQ4_XS": 0.0766,
}
"""llama.cpp's relative error for normally distributed weights, as `test_not_worse_than_llama_cpp` measures it."""
NUMBERS = {kind.name: number for number, kind in WEIGHT_TYPES.items()}


def weights(kind: str, shape: tuple[int, int] = (48, 1024)) -> Floats:
    random = np.random.default_rng(1)
    made = random.normal(0, 0.02, shape)
    if kind == "heavy tails":
        made = random.standard_t(3, shape) * 0.02
    elif kind == "one side":
        made = np.abs(made) + 0.01
    elif kind == "rows of all sizes":
        made *= np.exp(random.normal(0, 2, (shape[0], 1)))
    elif kind == "few values":
        made = np.round(made * 200) / 400
        made[:, :256] = 0
    elif kind == "tiny":
        made *= 1e-6
        made[::2] *= 1e-34
    elif kind == "huge":
        made = made.clip(-0.06, 0.06) * 1e6
    return made.astype(np.float32)


KINDS = ("normal", "heavy tails", "one side", "rows of all sizes", "few values", "tiny", "huge")


def decoded(blocks: np.ndarray[Any, np.dtype[np.uint8]], number: int) -> Floats:
    kind = gguf.GGMLQuantizationType(number)
    if kind in (gguf.GGMLQuantizationType.F32, gguf.GGMLQuantizationType.F16):  # gguf takes these as numbers only
        return blocks.view(np.float32 if kind == gguf.GGMLQuantizationType.F32 else np.float16).astype(np.float32)
    return np.asarray(gguf.dequantize(blocks, kind), np.float32)


def relative_error(found: Floats, wanted: Floats) -> float:
    return float(np.sqrt(np.square(found - wanted, dtype=np.float64).sum() / np.square(wanted, dtype=np.float64).sum()))


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SIMPLE)
def test_the_same_bytes_as_the_gguf_package(name: str, kind: str) -> None:
    x = weights(kind)
    if kind == "tiny":
        x = x[1::2]  # the smallest have no finite inverse, of which gguf makes a number that is none
    wanted = gguf.quantize(x, gguf.GGMLQuantizationType[name]).view(np.uint8)
    assert (quantize(x, NUMBERS[name]) == wanted).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SEARCHED)
def test_decoded_by_the_gguf_package(name: str, kind: str) -> None:
    x = weights(kind)
    found = decoded(quantize(x, NUMBERS[name]), NUMBERS[name])
    assert np.isfinite(found).all()
    if kind == "tiny":  # smaller than the scales that float16 can tell apart
        assert np.abs(found).max() < 1e-6
    else:
        assert relative_error(found, x) < 2 * SEARCHED[name]


@pytest.mark.parametrize("name", SEARCHED)
def test_near_the_figures_of_llama_cpp(name: str) -> None:
    x = weights("normal")
    assert relative_error(decoded(quantize(x, NUMBERS[name]), NUMBERS[name]), x) < 1.02 * SEARCHED[name]


@pytest.mark.parametrize("name", [*SIMPLE, *SEARCHED])
def test_rows_do_not_depend_on_each_other(name: str) -> None:
    x = weights("rows of all sizes", (600, 512))
    whole = quantize(x, NUMBERS[name])
    assert (np.concatenate([quantize(x[:1], NUMBERS[name]), quantize(x[1:], NUMBERS[name])]) == whole).all()
    assert not decoded(quantize(np.zeros((1, 512), np.float32), NUMBERS[name]), NUMBERS[name]).any()


@pytest.mark.parametrize("kind", KINDS[:5])
@pytest.mark.parametrize("name", SEARCHED)
def test_not_worse_than_llama_cpp(name: str, kind: str, tmp_path: Path) -> None:
    x = weights(kind)
    theirs = relative_error(quantized_by_llama_cpp(x, name, tmp_path), x)
    ours = relative_error(decoded(quantize(x, NUMBERS[name]), NUMBERS[name]), x)
    assert ours <= 1.02 * theirs
    if kind == "normal":
        assert theirs == pytest.approx(SEARCHED[name], rel=0.02)


def quantized_by_llama_cpp(x: Floats, name: str, folder: Path) -> Floats:
    """`x` as the feed-forward matrix of a file, quantized by llama.cpp's own tool and decoded."""
    hidden = x.shape[1]
    square = np.eye(hidden, dtype=np.float32)
    ones = np.ones(hidden, np.float32)
    tensors = {
        "token_embd.weight": square,
        "output_norm.weight": ones,
        "blk.0.attn_norm.weight": ones,
        "blk.0.attn_qkv.weight": np.zeros((3 * hidden, hidden), np.float32),
        "blk.0.attn_output.weight": square,
        "blk.0.ffn_norm.weight": ones,
        "blk.0.ffn_up.weight": x,
        "blk.0.ffn_down.weight": np.zeros((hidden, 256), np.float32),
    }
    metadata = {
        "general.architecture": "chatglm",
        "chatglm.block_count": 1,
        "chatglm.context_length": 64,
        "chatglm.embedding_length": hidden,
        "chatglm.feed_forward_length": x.shape[0] // 2,
        "chatglm.attention.head_count": 8,
        "chatglm.attention.layer_norm_rms_epsilon": 1e-5,
        "chatglm.vocab_size": hidden,
        "tokenizer.ggml.model": "none",
    }
    data = [
        TensorData(key, array.shape, 0, array.nbytes, lambda array=array: [array.tobytes()])  # type: ignore[misc]
        for key, array in tensors.items()
    ]
    write_gguf(folder / "in.gguf", metadata, data)
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = int(
        gguf.LlamaFileType[
            {"Q3_K": "MOSTLY_Q3_K_M", "Q4_K": "MOSTLY_Q4_K_M", "Q5_K": "MOSTLY_Q5_K_M"}.get(name, f"MOSTLY_{name}")
        ]
    )
    options.pure = True
    options.nthread = 1
    status = llama_cpp.llama_model_quantize(
        str(folder / "in.gguf").encode(), str(folder / "out.gguf").encode(), ctypes.byref(options)
    )
    assert status == 0
    (found,) = [
        tensor for tensor in gguf.GGUFReader(folder / "out.gguf").tensors if tensor.name.endswith("ffn_up.weight")
    ]
    assert found.tensor_type.name == name
    return decoded(found.data, int(found.tensor_type))
