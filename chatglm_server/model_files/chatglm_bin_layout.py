"""The layout of a chatglm.cpp model file (`.bin`), for its reader and its writer.

Little endian, as chatglm.cpp 0.4.2 reads it (``Pipeline::Pipeline`` and ``ModelLoader``)::

    "ggml"  int32 model type  int32 record version
    the record (see `ModelHeader`)
    int32 tokenizer size, tokenizer bytes (a serialized SentencePiece model, or tiktoken lines for GLM-4)
    per tensor: int32 name size, name, int32 dimensions, int32 per dimension (rows first), int32 ggml type,
                zero bytes up to a multiple of 16 from the start of the file, data

Matrices are stored in the file's own type, norms and biases as float32. Quantized types are ggml's: 32 consecutive
columns share a float16 scale.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from .weight_types import WEIGHT_TYPES

MAGIC = b"ggml"
ALIGNMENT = 16
PREFIX_CACHE = "past_key_values"
"""Keys and values of the virtual tokens that a P-tuned model begins with, in float16."""


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


BLOCK = {kind: (WEIGHT_TYPES[kind].columns, WEIGHT_TYPES[kind].nbytes) for kind in DType}
"""(columns, bytes) of a block."""

RECORD_V2 = struct.Struct("<7ififiii")
"""Version 2 of the record: `ModelHeader`, with the tensor type in front and the model type left out."""


@dataclass(frozen=True)
class ModelHeader:
    """A file's numbers. `max_length` is the context in tokens, prompt and answer together."""

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
        """The version 2 record as it stands in the file."""
        return RECORD_V2.pack(
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


def stored_type(name: str, shape: tuple[int, ...], dtype: DType) -> DType:
    """The type of a tensor in a file whose matrices are `dtype`."""
    if name == PREFIX_CACHE:
        return DType.F16
    return dtype if len(shape) == 2 else DType.F32


def tensor_shapes(header: ModelHeader) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape (rows first) of every tensor of a model with this header, in the converter's order.

    `mlp.dense_h_to_4h` of ChatGLM2 and later holds the gate's rows first, then as many rows of the value.
    """
    hidden, ffn, vocab = header.hidden_size, header.intermediate_size, header.vocab_size
    if header.model_type == ModelType.CHATGLM:
        yield from _first_generation(header)
        return
    head, kv_heads = hidden // header.num_attention_heads, header.num_key_value_heads
    qkv = hidden + 2 * head * kv_heads
    if header.num_virtual_tokens:
        yield PREFIX_CACHE, (2 * header.num_hidden_layers, kv_heads, header.num_virtual_tokens, head)
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
