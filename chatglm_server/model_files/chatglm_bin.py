"""Reads a chatglm.cpp model file, and checks it before anything else uses it.

chatglm.cpp's own loader trusts every number in the file; this reader trusts none. For the layout see
`chatglm_bin_layout`, for the network that a file holds `chatglm_bin_spec`.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import ModelFileError
from .chatglm_bin_layout import (
    ALIGNMENT,
    BLOCK,
    MAGIC,
    RECORD_V2,
    DType,
    ModelHeader,
    ModelType,
    stored_type,
    tensor_shapes,
)

FAMILIES = {
    ModelType.CHATGLM: "chatglm",
    ModelType.CHATGLM2: "chatglm2",
    ModelType.CHATGLM3: "chatglm3",
    ModelType.CHATGLM4: "glm4",
}
"""Model type → the chat format it was trained with."""

_VISION = 1004  # GLM-4V
_MAX_TENSORS = 1900  # chatglm.cpp's context for tensor headers holds 2,048 objects
_MAX_TOKENIZER_BYTES = 64 << 20
_LIMITS = {  # ggml's memory for a graph limits the layers; chatglm.cpp does not check it
    "vocab_size": (16, 1 << 20),
    "hidden_size": (4, 1 << 16),
    "num_attention_heads": (1, 1024),
    "num_key_value_heads": (1, 1024),
    "num_hidden_layers": (1, 64),
    "intermediate_size": (1, 1 << 20),
    "num_virtual_tokens": (0, 1 << 12),
    "max_length": (1, 1 << 22),
}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: its shape, outermost dimension first, its type, and its place in the file, in bytes."""

    name: str
    shape: tuple[int, ...]
    type: DType
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class ChatGLMBin:
    """A checked file. `family` is the chat format that its model type was trained with."""

    path: Path
    family: str
    version: int
    header: ModelHeader
    tokenizer: bytes
    tensors: tuple[Tensor, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        last = self.tensors[-1]
        return last.offset + last.nbytes


def read_chatglm_bin(path: Path) -> ChatGLMBin:
    """Reads everything but the tensors' data, and checks that the file is complete and that chatglm.cpp can run it.

    Raises: ModelFileError, whose message is one line that names the file and the fault.
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

    def read(self) -> ChatGLMBin:
        if self._bytes(4, "the magic") != MAGIC:
            raise self._error('is not a chatglm.cpp model: it does not begin with "ggml"')
        number, version = self._unpack("<2i", "the model type")
        if number == _VISION:
            raise self._error("holds a GLM-4V model; images are not supported")
        if number not in FAMILIES:
            raise self._error(f"has the unknown model type {number}")
        model_type = ModelType(number)
        if version not in (1, 2) or (version == 1 and model_type == ModelType.CHATGLM4):
            raise self._error(f"has the unknown record version {version}; convert the model with chatglm.cpp 0.4.2")
        number, header = self._header(model_type, version)
        dtype = self._dtype(number, "its weights")
        self._check_header(header)
        (length,) = self._unpack("<i", "the tokenizer's length")
        if not 0 < length <= _MAX_TOKENIZER_BYTES:
            raise self._error(f"says that its tokenizer has {length} bytes")
        tokenizer = self._bytes(length, "the tokenizer")
        tensors = tuple(self._tensors())
        self._check_tensors(header, dtype, tensors)
        return ChatGLMBin(self._path, FAMILIES[model_type], version, header, tokenizer, tensors)

    def _error(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self._path}: the file {what}")

    def _bytes(self, count: int, what: str) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise self._error(f"ends in the middle of {what}, after {self._size} bytes; it was not copied whole")
        return data

    def _unpack(self, layout: str, what: str) -> tuple[int, ...]:
        return struct.unpack(layout, self._bytes(struct.calcsize(layout), what))

    def _dtype(self, number: int, what: str) -> DType:
        try:
            return DType(number)
        except ValueError:
            raise self._error(f"has the unknown weight type {number} for {what}") from None

    def _header(self, model_type: ModelType, version: int) -> tuple[int, ModelHeader]:
        """The number of the weights' type, and the header."""
        if version == 2:
            dtype, vocab, hidden, heads, kv_heads, layers, ffn, eps, virtual, theta, length, eos, pad = (
                RECORD_V2.unpack(self._bytes(RECORD_V2.size, "the configuration"))
            )
        else:
            # version 1: dtype vocab hidden heads layers ffn length bos eos pad sep, and from ChatGLM2 on kv_heads
            count = 11 if model_type == ModelType.CHATGLM else 12
            fields = self._unpack(f"<{count}i", "the configuration")
            dtype, vocab, hidden, heads, layers, ffn, length, _, eos, pad = fields[:10]
            kv_heads = heads if model_type == ModelType.CHATGLM else fields[11]
            eps, virtual, theta = 1e-5, 0, 10000.0
        header = ModelHeader(
            model_type, vocab, hidden, heads, kv_heads, layers, ffn, length, eos, eps, theta, virtual, pad
        )
        return dtype, header

    def _check_header(self, header: ModelHeader) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(header, name)
            if not least <= value <= most:
                raise self._error(f"says {name} = {value}, which is not between {least} and {most}")
        heads, kv_heads = header.num_attention_heads, header.num_key_value_heads
        if header.hidden_size % heads or (header.hidden_size // heads) % 4:
            raise self._error(f"says {heads} heads for a hidden size of {header.hidden_size}")
        if heads % kv_heads:
            raise self._error(f"says {kv_heads} key/value heads for {heads} heads")
        if not (math.isfinite(header.norm_eps) and 0 < header.norm_eps < 0.1):
            raise self._error(f"says norm_eps = {header.norm_eps}")
        if not (math.isfinite(header.rope_theta) and header.rope_theta > 0):
            raise self._error(f"says rope_theta = {header.rope_theta}")

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
            (number,) = self._unpack("<i", where)
            dtype = self._dtype(number, name)
            columns, block_bytes = BLOCK[dtype]
            if min(shape) < 1 or shape[-1] % columns:
                raise self._error(f"says that {name} has the shape {list(shape)} in {dtype.name}")
            offset = -(-self._file.tell() // ALIGNMENT) * ALIGNMENT
            nbytes = math.prod(shape) // columns * block_bytes
            if offset + nbytes > self._size:
                missing = offset + nbytes - self._size
                raise self._error(f"ends {missing} bytes before {name} is complete; it was not copied whole")
            self._file.seek(offset + nbytes)
            yield Tensor(name, shape, dtype, offset, nbytes)

    def _check_tensors(self, header: ModelHeader, dtype: DType, tensors: tuple[Tensor, ...]) -> None:
        found = {tensor.name: tensor for tensor in tensors}
        if len(found) < len(tensors):
            raise self._error("holds a tensor twice")
        expected = dict(_with_split_ffn(header, found))
        for name, shape in expected.items():
            tensor = found.get(name)
            if tensor is None:
                raise self._error(f"lacks the tensor {name}")
            if tensor.shape != shape:
                raise self._error(f"has {name} in the shape {list(tensor.shape)}, not {list(shape)}")
            if tensor.type != (kind := stored_type(name, shape, dtype)):
                raise self._error(f"has {name} in {tensor.type.name}, not {kind.name}")
        unknown = sorted(found.keys() - expected.keys())
        if unknown and header.model_type != ModelType.CHATGLM:  # old ones hold an lm_head that chatglm.cpp skips
            raise self._error(f"holds the unknown tensor {unknown[0]}")


def _with_split_ffn(header: ModelHeader, found: Container[str]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The tensors that a file must have; the two halves of the first ffn matrix may be two tensors."""
    for name, shape in tensor_shapes(header):
        prefix, joined, _ = name.partition("mlp.dense_h_to_4h.weight")
        if joined and prefix + "mlp.gate_proj.weight" in found:
            for half in ("gate", "up"):
                yield f"{prefix}mlp.{half}_proj.weight", (shape[0] // 2, shape[1])
        else:
            yield name, shape
