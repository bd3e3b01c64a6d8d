"""The chatglm.cpp model file, read and checked before anything else touches it.

Layout (chatglm.cpp 0.4.2, ``Pipeline::Pipeline`` and ``ModelLoader``): magic ``ggml``, model type, record version, a
configuration record, the tokenizer with its length in front, then tensors until the file ends: name, shape, type,
padding to 16 bytes, data. Little-endian. Its own loader trusts every number in it; this reader trusts none.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import ModelFileError

MAGIC = b"ggml"
ALIGNMENT = 16
MODEL_TYPES = {1: "chatglm", 2: "chatglm2", 3: "chatglm3", 4: "glm4"}
VISION_TYPES = {1004: "GLM-4V"}
BLOCK_BYTES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)}
"""ggml type → (values, bytes) of a block: f32, f16, q4_0, q4_1, q5_0, q5_1, q8_0."""
TYPE_NAMES = {0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 6: "q5_0", 7: "q5_1", 8: "q8_0"}
F32, F16 = 0, 1

_MAX_TENSORS = 1900  # chatglm.cpp's context for tensor headers holds 2,048 objects
_MAX_TOKENIZER_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The file's configuration record. Sizes are counts of elements, `max_length` of tokens."""

    type: int
    vocab_size: int
    hidden_size: int
    heads: int
    kv_heads: int
    layers: int
    ffn_size: int
    norm_eps: float
    virtual_tokens: int
    rope_theta: float
    max_length: int
    eos_token_id: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its shape, outermost dimension first, its ggml type, and its place in the file, in bytes."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A checked file. `family` is the chat format of its model type."""

    path: Path
    family: str
    version: int
    config: ModelConfig
    tokenizer: bytes
    tensors: tuple[Tensor, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        last = self.tensors[-1]
        return last.offset + last.nbytes


def read_model_file(path: Path) -> ModelFile:
    """Read everything but the tensors' data, and check that it is whole and of a kind that chatglm.cpp runs.

    Raises: ModelFileError, whose message is one line that names the file and what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file).read()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from None


class _Reader:
    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def read(self) -> ModelFile:
        if self._bytes(4, "the magic") != MAGIC:
            raise self._error('is no chatglm.cpp model: it does not begin with "ggml"')
        (model_type, version) = self._unpack("<2i", "the model type")
        if model_type in VISION_TYPES:
            raise self._error(f"holds a {VISION_TYPES[model_type]} model; images are not supported")
        if model_type not in MODEL_TYPES:
            raise self._error(f"has the unknown model type {model_type}; known: {MODEL_TYPES}")
        if version not in (1, 2) or (version == 1 and model_type == 4):
            raise self._error(
                f"has the unknown record version {version}; convert the model anew with chatglm.cpp 0.4.2"
            )
        config = self._config(model_type, version)
        self._check_config(config)
        (length,) = self._unpack("<i", "the tokenizer's length")
        if not 0 < length <= _MAX_TOKENIZER_BYTES:
            raise self._error(f"says that its tokenizer has {length} bytes")
        tokenizer = self._bytes(length, "the tokenizer")
        tensors = tuple(self._tensors())
        self._check_tensors(model_type, config, tensors)
        return ModelFile(self._path, MODEL_TYPES[model_type], version, config, tokenizer, tensors)

    def _error(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self._path}: the file {what}")

    def _bytes(self, count: int, what: str) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise self._error(f"ends in the middle of {what}, after {self._size} bytes; it was not copied whole")
        return data

    def _unpack(self, layout: str, what: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._bytes(struct.calcsize(layout), what))

    def _config(self, model_type: int, version: int) -> ModelConfig:
        if version == 2:
            layout, what = struct.Struct("<7ififiii"), "the configuration"
            dtype, vocab, hidden, heads, kv_heads, layers, ffn, eps, virtual, theta, length, eos, _ = layout.unpack(
                self._bytes(layout.size, what)
            )
            return ModelConfig(dtype, vocab, hidden, heads, kv_heads, layers, ffn, eps, virtual, theta, length, eos)
        count = 11 if model_type == 1 else 12
        fields = self._unpack(f"<{count}i", "the configuration")
        dtype, vocab, hidden, heads, layers, ffn, length, _bos, eos = fields[:9]
        kv_heads = heads if model_type == 1 else fields[11]
        return ModelConfig(dtype, vocab, hidden, heads, kv_heads, layers, ffn, 1e-5, 0, 10000.0, length, eos)

    def _check_config(self, config: ModelConfig) -> None:
        limits = {
            "vocab_size": (16, 1 << 20),
            "hidden_size": (4, 1 << 16),
            "heads": (1, 1024),
            "kv_heads": (1, 1024),
            "layers": (1, 200),
            "ffn_size": (1, 1 << 20),
            "virtual_tokens": (0, 1 << 12),
            "max_length": (1, 1 << 22),
        }
        if config.type not in BLOCK_BYTES:
            raise self._error(f"has the unknown weight type {config.type}; known: {TYPE_NAMES}")
        for name, (least, most) in limits.items():
            value = getattr(config, name)
            if not least <= value <= most:
                raise self._error(f"says {name} = {value}, which is not between {least} and {most}")
        if config.hidden_size % config.heads or (config.hidden_size // config.heads) % 4:
            raise self._error(f"says {config.heads} heads for a hidden size of {config.hidden_size}")
        if config.heads % config.kv_heads:
            raise self._error(f"says {config.kv_heads} key/value heads for {config.heads} heads")
        if not (math.isfinite(config.norm_eps) and 0 < config.norm_eps < 0.1):
            raise self._error(f"says norm_eps = {config.norm_eps}")
        if not (math.isfinite(config.rope_theta) and config.rope_theta > 0):
            raise self._error(f"says rope_theta = {config.rope_theta}")

    def _tensors(self) -> Iterator[Tensor]:
        count = 0
        while (start := self._file.tell()) < self._size:
            if count == _MAX_TENSORS:
                raise self._error(f"holds more than {_MAX_TENSORS} tensors")
            count += 1
            where = f"tensor {count}, at byte {start}"
            (length,) = self._unpack("<i", where)
            if not 0 < length <= 256:
                raise self._error(f"has a name of {length} bytes in {where}")
            name = self._bytes(length, where).decode("ascii", "backslashreplace")
            (dimensions,) = self._unpack("<i", where)
            if not 0 < dimensions <= 4:
                raise self._error(f"says that {name} has {dimensions} dimensions")
            shape = self._unpack(f"<{dimensions}i", where)
            (kind,) = self._unpack("<i", where)
            if kind not in BLOCK_BYTES:
                raise self._error(f"has the unknown type {kind} for {name}")
            per_block, block_bytes = BLOCK_BYTES[kind]
            if min(shape) < 1 or shape[-1] % per_block:
                raise self._error(f"says that {name} has the shape {list(shape)} in {TYPE_NAMES[kind]}")
            offset = -(-self._file.tell() // ALIGNMENT) * ALIGNMENT
            nbytes = math.prod(shape) // per_block * block_bytes
            if offset + nbytes > self._size:
                missing = offset + nbytes - self._size
                raise self._error(f"ends {missing} bytes before {name} is complete; it was not copied whole")
            self._file.seek(offset + nbytes)
            yield Tensor(name, shape, kind, offset, nbytes)

    def _check_tensors(self, model_type: int, config: ModelConfig, tensors: tuple[Tensor, ...]) -> None:
        found = {tensor.name: tensor for tensor in tensors}
        if len(found) < len(tensors):
            raise self._error("holds a tensor twice")
        expected = dict(_expected_glm(config) if model_type == 1 else _expected_glm2(config, found))
        for name, (shape, kind) in expected.items():
            tensor = found.get(name)
            if tensor is None:
                raise self._error(f"lacks the tensor {name}")
            if tensor.shape != shape:
                raise self._error(f"has {name} in the shape {list(tensor.shape)}, not {list(shape)}")
            if tensor.type != kind:
                raise self._error(f"has {name} in {TYPE_NAMES[tensor.type]}, not {TYPE_NAMES[kind]}")
        unknown = sorted(found.keys() - expected.keys())
        if unknown and model_type != 1:  # old ChatGLM-6B files hold an lm_head that chatglm.cpp skips
            raise self._error(f"holds the unknown tensor {unknown[0]}")


_Expected = Iterator[tuple[str, tuple[tuple[int, ...], int]]]


def _expected_glm(config: ModelConfig) -> _Expected:
    """Every tensor of ChatGLM-6B, with its shape and type."""
    hidden, ffn, kind = config.hidden_size, config.ffn_size, config.type
    yield "transformer.word_embeddings.weight", ((config.vocab_size, hidden), kind)
    for layer in range(config.layers):
        prefix = f"transformer.layers.{layer}."
        for name, rows, columns in (
            ("attention.query_key_value", 3 * hidden, hidden),
            ("attention.dense", hidden, hidden),
            ("mlp.dense_h_to_4h", ffn, hidden),
            ("mlp.dense_4h_to_h", hidden, ffn),
        ):
            yield f"{prefix}{name}.weight", ((rows, columns), kind)
            yield f"{prefix}{name}.bias", ((rows,), F32)
        for name in ("input_layernorm", "post_attention_layernorm"):
            yield f"{prefix}{name}.weight", ((hidden,), F32)
            yield f"{prefix}{name}.bias", ((hidden,), F32)
    yield "transformer.final_layernorm.weight", ((hidden,), F32)
    yield "transformer.final_layernorm.bias", ((hidden,), F32)


def _expected_glm2(config: ModelConfig, found: dict[str, Tensor]) -> _Expected:
    """Every tensor of ChatGLM2 and later; the two halves of the first ffn matrix may be stored apart."""
    hidden, ffn, kind = config.hidden_size, config.ffn_size, config.type
    head = hidden // config.heads
    qkv = hidden + 2 * head * config.kv_heads
    if config.virtual_tokens:
        shape = (config.layers, 2, config.kv_heads, config.virtual_tokens, head)
        yield "past_key_values", ((shape[0] * shape[1], *shape[2:]), F16)
    yield "transformer.embedding.word_embeddings.weight", ((config.vocab_size, hidden), kind)
    for layer in range(config.layers):
        prefix = f"transformer.encoder.layers.{layer}."
        yield prefix + "input_layernorm.weight", ((hidden,), F32)
        yield prefix + "self_attention.query_key_value.weight", ((qkv, hidden), kind)
        yield prefix + "self_attention.query_key_value.bias", ((qkv,), F32)
        yield prefix + "self_attention.dense.weight", ((hidden, hidden), kind)
        yield prefix + "post_attention_layernorm.weight", ((hidden,), F32)
        if prefix + "mlp.gate_proj.weight" in found:
            yield prefix + "mlp.gate_proj.weight", ((ffn, hidden), kind)
            yield prefix + "mlp.up_proj.weight", ((ffn, hidden), kind)
        else:
            yield prefix + "mlp.dense_h_to_4h.weight", ((2 * ffn, hidden), kind)
        yield prefix + "mlp.dense_4h_to_h.weight", ((hidden, ffn), kind)
    yield "transformer.encoder.final_layernorm.weight", ((hidden,), F32)
    yield "transformer.output_layer.weight", ((config.vocab_size, hidden), kind)
