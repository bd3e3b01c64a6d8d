"""The model writer: what it writes is what chatglm_cpp loads and computes with."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

import chatglm_cpp
import numpy as np
import numpy.typing as npt
import pytest
from chatglm_bin_writer import DType, ModelHeader, ModelType, encode, tensor_shapes, write_model

from chatglm_server.model_files.chatglm_bin_layout import ALIGNMENT
from tests.token_level import one_cpu

VOCAB, HIDDEN, HEADS, FFN = 320, 64, 2, 96
QUANTIZED = [DType.Q4_0, DType.Q4_1, DType.Q5_0, DType.Q5_1, DType.Q8_0]
STEPS = {DType.Q4_0: 8, DType.Q4_1: 15, DType.Q5_0: 16, DType.Q5_1: 31, DType.Q8_0: 127}


def field(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + bytes([len(value)]) + value


def sentencepiece_model() -> bytes:
    """A smallest SentencePiece model: <unk>, <s>, </s>, a few words; all lengths fit one byte."""
    pieces = [
        ("<unk>", 2),
        ("<s>", 3),
        ("</s>", 3),
        ("<sop>", 3),
        ("<eop>", 3),
        ("[MASK]", 3),
        ("[gMASK]", 3),
        ("<pad>", 3),
    ]
    pieces += [(text, 1) for text in ("▁", "a", "b", "c", "▁a")]
    return b"".join(
        field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", -float(index)) + bytes([3 << 3, kind]))
        for index, (text, kind) in enumerate(pieces)
    )


def tiktoken_model() -> bytes:
    return b"".join(base64.b64encode(bytes([byte])) + b" %d\n" % byte for byte in range(256))


def header(kind: ModelType) -> ModelHeader:
    kv_heads = HEADS if kind == ModelType.CHATGLM else 1
    return ModelHeader(kind, VOCAB, HIDDEN, HEADS, kv_heads, 2, FFN, max_length=128, eos_token_id=2)


def random_tensors(kind: ModelType) -> dict[str, npt.NDArray[np.float32]]:
    rng = np.random.default_rng(7)
    return {
        name: rng.normal(0, 0.3, shape).astype(np.float32) if len(shape) == 2 else np.ones(shape, np.float32)
        for name, shape in tensor_shapes(header(kind))
    }


def write(path: Path, kind: ModelType, dtype: DType) -> Path:
    tokenizer = tiktoken_model() if kind == ModelType.CHATGLM4 else sentencepiece_model()
    write_model(path, header(kind), tokenizer, random_tensors(kind), dtype)
    return path


def greedy(path: Path, prompt: list[int], count: int) -> list[int]:
    pipeline = chatglm_cpp.Pipeline(str(path))
    config = chatglm_cpp._C.GenerationConfig(max_length=128, max_context_length=128, do_sample=False)
    ids = list(prompt)
    with one_cpu():
        for _ in range(count):
            ids.append(pipeline.model.generate_next_token(ids, None, config, 0, len(prompt)))
    return ids[len(prompt) :]


@pytest.mark.parametrize("kind", list(ModelType))
@pytest.mark.parametrize("dtype", list(DType))
def test_the_engine_loads_and_runs_every_type(tmp_path: Path, kind: ModelType, dtype: DType) -> None:
    path = write(tmp_path / "model.bin", kind, dtype)
    config = chatglm_cpp.Pipeline(str(path)).model.config
    assert (config.vocab_size, config.hidden_size, config.num_hidden_layers) == (VOCAB, HIDDEN, 2)
    assert (config.intermediate_size, config.max_length, config.eos_token_id) == (FFN, 128, 2)
    assert all(0 <= token < VOCAB for token in greedy(path, [8, 9, 10, 11], 3))


def test_the_engine_computes_the_same_with_half_and_full_precision(tmp_path: Path) -> None:
    full = write(tmp_path / "f32.bin", ModelType.CHATGLM3, DType.F32)
    half = write(tmp_path / "f16.bin", ModelType.CHATGLM3, DType.F16)
    assert greedy(full, [8, 9, 10], 4) == greedy(half, [8, 9, 10], 4)


def test_tensors_start_at_multiples_of_sixteen(tmp_path: Path) -> None:
    path = write(tmp_path / "model.bin", ModelType.CHATGLM3, DType.F32)
    weights = random_tensors(ModelType.CHATGLM3)["transformer.output_layer.weight"].tobytes()
    data = path.read_bytes()
    assert data.endswith(weights)
    assert (len(data) - len(weights)) % ALIGNMENT == 0


@pytest.mark.parametrize("dtype", QUANTIZED)
def test_quantized_values_are_near(dtype: DType) -> None:
    """Half a step of the block's range, and the rounding of the float16 scale."""
    values = np.random.default_rng(3).normal(0, 2, (16, 64)).astype(np.float32)
    values[0, :32] = 0
    values[1, :32] = 1.5
    got = dequantized(encode(values, dtype), dtype).reshape(values.shape)
    blocks = values.reshape(-1, 32)
    largest = np.abs(blocks).max(axis=1)
    reach = blocks.max(axis=1) - blocks.min(axis=1) if dtype in (DType.Q4_1, DType.Q5_1) else largest
    # The symmetric types have no code for the far end of the other sign: one whole step is lost there.
    bound = reach / STEPS[dtype] * (1.0 if dtype in (DType.Q4_0, DType.Q5_0) else 0.5) + largest * 2e-3
    assert (np.abs(got.reshape(-1, 32) - blocks) <= bound[:, None] + 1e-6).all()


def dequantized(data: bytes, dtype: DType) -> npt.NDArray[np.float64]:
    """ggml's blocks read back, by the book."""
    size = {DType.Q4_0: 18, DType.Q4_1: 20, DType.Q5_0: 22, DType.Q5_1: 24, DType.Q8_0: 34}[dtype]
    rows = []
    for start in range(0, len(data), size):
        block = data[start : start + size]
        (scale,) = struct.unpack("<e", block[:2])
        if dtype == DType.Q8_0:
            rows.append([scale * q for q in struct.unpack("<32b", block[2:])])
            continue
        minimum = struct.unpack("<e", block[2:4])[0] if dtype in (DType.Q4_1, DType.Q5_1) else None
        low = block[-16:]
        codes = [byte & 15 for byte in low] + [byte >> 4 for byte in low]
        offset = 8
        if dtype in (DType.Q5_0, DType.Q5_1):
            (high,) = struct.unpack("<I", block[-20:-16])
            codes = [code | (high >> index & 1) << 4 for index, code in enumerate(codes)]
            offset = 16
        rows.append([scale * code + minimum if minimum is not None else scale * (code - offset) for code in codes])
    return np.array(rows)


def test_wrong_tensors_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    good = random_tensors(ModelType.CHATGLM3)
    name = "transformer.output_layer.weight"
    without = {key: value for key, value in good.items() if key != name}
    for tensors, message in (
        (without, "missing tensors: transformer.output_layer.weight"),
        ({**good, "extra": good[name]}, "unknown tensors: extra"),
        ({**good, name: good[name].T}, "not"),
    ):
        with pytest.raises(ValueError, match=message):
            write_model(path, header(ModelType.CHATGLM3), sentencepiece_model(), tensors, DType.F16)
    assert not path.exists()


def test_quantization_needs_whole_blocks(tmp_path: Path) -> None:
    odd = ModelHeader(ModelType.CHATGLM3, 8, 24, 1, 1, 1, 24, max_length=16, eos_token_id=2)
    tensors = {name: np.zeros(shape, np.float32) for name, shape in tensor_shapes(odd)}
    with pytest.raises(ValueError, match="not a multiple of 32"):
        write_model(tmp_path / "model.bin", odd, sentencepiece_model(), tensors, DType.Q4_0)
