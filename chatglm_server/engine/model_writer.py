"""Writes chatglm.cpp model files (`.bin`): what `model_file` reads, the other way round.

Layout, little endian, as chatglm.cpp 0.4.2 reads it::

    "ggml"  int32 model type  int32 record version
    the record (see `ModelHeader`)
    int32 tokenizer size, tokenizer bytes (a serialized SentencePiece model, or tiktoken lines for GLM-4)
    per tensor: int32 name size, name, int32 dimensions, int32 per dimension (rows first), int32 ggml type,
                zero bytes up to a multiple of 16 from the start of the file, data

Matrices are stored in the file's own type, norms and biases as float32. Quantized types are ggml's: 32 consecutive
columns share a float16 scale. numpy is needed here and nowhere else in the package.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

MAGIC = b"ggml"
RECORD_VERSION = 2
ALIGNMENT = 16
BLOCK = 32

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class ModelType(IntEnum):
    """chatglm.cpp's numbers for the text models."""

    CHATGLM = 1
    CHATGLM2 = 2
    CHATGLM3 = 3
    CHATGLM4 = 4


class DType(IntEnum):
    """ggml's numbers for the tensor types that chatglm.cpp's converter offers."""

    F32 = 0
    F16 = 1
    Q4_0 = 2
    Q4_1 = 3
    Q5_0 = 6
    Q5_1 = 7
    Q8_0 = 8


@dataclass(frozen=True)
class ModelHeader:
    """The numbers of a version 2 record, without the tensor type."""

    model_type: ModelType
    vocab_size: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: int
    num_hidden_layers: int
    intermediate_size: int
    max_length: int
    eos_token_id: int
    norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    num_virtual_tokens: int = 0
    pad_token_id: int = 0

    def record(self, dtype: DType) -> bytes:
        """The record as it stands in the file."""
        return struct.pack(
            "<7ififiii",
            dtype,
            self.vocab_size,
            self.hidden_size,
            self.num_attention_heads,
            self.num_key_value_heads,
            self.num_hidden_layers,
            self.intermediate_size,
            self.norm_eps,
            self.num_virtual_tokens,
            self.rope_theta,
            self.max_length,
            self.eos_token_id,
            self.pad_token_id,
        )


def tensor_shapes(header: ModelHeader) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape (rows first) of every tensor that a model of this header has, in the converter's order.

    `mlp.dense_h_to_4h` of ChatGLM2 and later holds the gate's rows first, then as many rows of the value.
    """
    hidden, ffn, vocab = header.hidden_size, header.intermediate_size, header.vocab_size
    if header.model_type == ModelType.CHATGLM:
        yield from _first_generation(header)
        return
    qkv = hidden + 2 * (hidden // header.num_attention_heads) * header.num_key_value_heads
    yield "transformer.embedding.word_embeddings.weight", (vocab, hidden)
    for layer in range(header.num_hidden_layers):
        prefix = f"transformer.encoder.layers.{layer}."
        yield prefix + "input_layernorm.weight", (hidden,)
        yield prefix + "self_attention.query_key_value.weight", (qkv, hidden)
        yield prefix + "self_attention.query_key_value.bias", (qkv,)
        yield prefix + "self_attention.dense.weight", (hidden, hidden)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        yield prefix + "mlp.dense_h_to_4h.weight", (2 * ffn, hidden)
        yield prefix + "mlp.dense_4h_to_h.weight", (hidden, ffn)
    yield "transformer.encoder.final_layernorm.weight", (hidden,)
    yield "transformer.output_layer.weight", (vocab, hidden)


def _first_generation(header: ModelHeader) -> Iterator[tuple[str, tuple[int, ...]]]:
    """ChatGLM-6B: biases everywhere, no key/value groups, output tied to the embedding."""
    hidden, ffn = header.hidden_size, header.intermediate_size
    yield "transformer.word_embeddings.weight", (header.vocab_size, hidden)
    shapes = (
        ("input_layernorm", hidden, 0),
        ("attention.query_key_value", 3 * hidden, hidden),
        ("attention.dense", hidden, hidden),
        ("post_attention_layernorm", hidden, 0),
        ("mlp.dense_h_to_4h", ffn, hidden),
        ("mlp.dense_4h_to_h", hidden, ffn),
    )
    for layer in range(header.num_hidden_layers):
        for name, rows, columns in shapes:
            prefix = f"transformer.layers.{layer}.{name}."
            yield prefix + "weight", (rows, columns) if columns else (rows,)
            yield prefix + "bias", (rows,)
    yield "transformer.final_layernorm.weight", (hidden,)
    yield "transformer.final_layernorm.bias", (hidden,)


def write_model(
    path: str | Path,
    header: ModelHeader,
    tokenizer: bytes,
    tensors: Mapping[str, npt.ArrayLike],
    dtype: DType,
) -> None:
    """Writes a whole model file.

    `tensors` maps the names of `tensor_shapes` to floating-point arrays of those shapes; a missing, unknown or
    misshapen one is a ValueError, and nothing is written.
    """
    shapes = dict(tensor_shapes(header))
    if missing := shapes.keys() - tensors.keys():
        raise ValueError(f"missing tensors: {', '.join(sorted(missing))}")
    if unknown := tensors.keys() - shapes.keys():
        raise ValueError(f"unknown tensors: {', '.join(sorted(unknown))}")
    arrays = {name: np.asarray(tensors[name], dtype=np.float32) for name in shapes}
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(f"{name} is {arrays[name].shape}, not {shape}")
        if len(shape) == 2 and dtype not in (DType.F32, DType.F16) and shape[1] % BLOCK:
            raise ValueError(f"{name} has {shape[1]} columns, not a multiple of {BLOCK}, as {dtype.name} needs")

    with open(path, "wb") as file:
        file.write(MAGIC + struct.pack("<ii", header.model_type, RECORD_VERSION))
        file.write(header.record(dtype))
        file.write(struct.pack("<i", len(tokenizer)) + tokenizer)
        for name, array in arrays.items():
            kind = dtype if array.ndim == 2 else DType.F32
            encoded_name = name.encode()
            file.write(struct.pack("<i", len(encoded_name)) + encoded_name)
            file.write(struct.pack(f"<i{array.ndim}ii", array.ndim, *array.shape, kind))
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            file.write(encode(array, kind))


def encode(array: Array, dtype: DType) -> bytes:
    """The data of one tensor in a ggml type."""
    return _ENCODERS[dtype](array)


def _f32(array: Array) -> bytes:
    return array.astype("<f4").tobytes()


def _f16(array: Array) -> bytes:
    return array.astype("<f2").tobytes()


def _q8_0(array: Array) -> bytes:
    """float16 scale, 32 signed bytes: value = scale * q."""
    blocks = array.reshape(-1, BLOCK)
    scale = np.abs(blocks).max(axis=1) / 127
    codes = np.round(blocks * _inverse(scale)[:, None]).astype(np.int8)
    return _join(_half(scale), codes.view(np.uint8))


def _q4_0(array: Array) -> bytes:
    """float16 scale, 16 bytes of nibbles: value = scale * (q - 8)."""
    scale, codes = _symmetric(array, half_range=8)
    return _join(_half(scale), _nibbles(codes))


def _q5_0(array: Array) -> bytes:
    """float16 scale, 4 bytes of fifth bits, 16 bytes of nibbles: value = scale * (q - 16)."""
    scale, codes = _symmetric(array, half_range=16)
    return _join(_half(scale), _fifth_bits(codes), _nibbles(codes))


def _q4_1(array: Array) -> bytes:
    """float16 scale and minimum, 16 bytes of nibbles: value = scale * q + minimum."""
    scale, minimum, codes = _affine(array, top=15)
    return _join(_half(scale), _half(minimum), _nibbles(codes))


def _q5_1(array: Array) -> bytes:
    """float16 scale and minimum, 4 bytes of fifth bits, nibbles: value = scale * q + minimum."""
    scale, minimum, codes = _affine(array, top=31)
    return _join(_half(scale), _half(minimum), _fifth_bits(codes), _nibbles(codes))


def _symmetric(array: Array, half_range: int) -> tuple[Array, Bytes]:
    """Scale and codes where the value farthest from zero, with its sign, becomes code 0."""
    blocks = array.reshape(-1, BLOCK)
    extreme = blocks[np.arange(len(blocks)), np.abs(blocks).argmax(axis=1)]
    scale = extreme / -half_range
    codes = np.floor(blocks * _inverse(scale)[:, None] + half_range + 0.5)
    return scale, codes.clip(0, 2 * half_range - 1).astype(np.uint8)


def _affine(array: Array, top: int) -> tuple[Array, Array, Bytes]:
    """Scale, minimum and codes where the smallest value is code 0 and the largest is `top`."""
    blocks = array.reshape(-1, BLOCK)
    minimum = blocks.min(axis=1)
    scale = (blocks.max(axis=1) - minimum) / top
    codes = np.floor((blocks - minimum[:, None]) * _inverse(scale)[:, None] + 0.5)
    return scale, minimum, codes.clip(0, top).astype(np.uint8)


def _inverse(scale: Array) -> Array:
    """1 / scale, and 0 for blocks of equal values."""
    return np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)


def _half(values: Array) -> Bytes:
    """One float16 a block, as two bytes."""
    return values.astype("<f2").view(np.uint8).reshape(-1, 2)


def _nibbles(codes: Bytes) -> Bytes:
    """The low four bits: columns 0 to 15 in the low halves of 16 bytes, columns 16 to 31 in the high halves."""
    return (codes[:, :16] & 15) | ((codes[:, 16:] & 15) << 4)


def _fifth_bits(codes: Bytes) -> Bytes:
    """The fifth bit of every column, column 0 in the lowest bit."""
    return np.packbits(codes >> 4, axis=1, bitorder="little")


def _join(*parts: Bytes) -> bytes:
    """The blocks' parts side by side."""
    return np.concatenate(parts, axis=1).tobytes()


_ENCODERS: dict[DType, Callable[[Array], bytes]] = {
    DType.F32: _f32,
    DType.F16: _f16,
    DType.Q4_0: _q4_0,
    DType.Q4_1: _q4_1,
    DType.Q5_0: _q5_0,
    DType.Q5_1: _q5_1,
    DType.Q8_0: _q8_0,
}
