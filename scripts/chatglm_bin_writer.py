"""Writes the chatglm.cpp model files that ``chatglm_server/model_files/chatglm_bin.py`` reads."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from chatglm_server.model_files.chatglm_bin_layout import (
    ALIGNMENT,
    BLOCK,
    MAGIC,
    DType,
    ModelHeader,
    ModelType,
    stored_type,
    tensor_shapes,
)

__all__ = ["DType", "ModelHeader", "ModelType", "encode", "tensor_shapes", "write_encoded", "write_model"]

RECORD_VERSION = 2
QUANTIZED = 32  # columns that share a scale

Array = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


def write_model(
    path: str | Path,
    header: ModelHeader,
    tokenizer: bytes,
    tensors: Mapping[str, npt.ArrayLike],
    dtype: DType,
) -> None:
    """Writes a whole model file.

    `tensors` maps the names of `tensor_shapes` to floating-point arrays of those shapes.

    Raises: ValueError for a missing or unknown tensor or a wrong shape, before anything is written.
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
        columns, _ = BLOCK[dtype]
        if len(shape) == 2 and shape[1] % columns:
            raise ValueError(f"{name} has {shape[1]} columns, not a multiple of {columns}, as {dtype.name} needs")

    write_encoded(path, header, tokenizer, lambda name, _, kind: encode(arrays[name], kind), dtype)


def write_encoded(
    path: str | Path,
    header: ModelHeader,
    tokenizer: bytes,
    data: Callable[[str, tuple[int, ...], DType], bytes | memoryview],
    dtype: DType,
) -> None:
    """Writes a whole model file of tensors that are encoded already, and holds one of them in memory at a time.

    `data` gives the bytes of a tensor by its name, its shape (rows first) and the type that it is stored in; it is
    asked in the file's order.
    """
    with Path(path).open("wb") as file:
        file.write(MAGIC + struct.pack("<ii", header.model_type, RECORD_VERSION))
        file.write(header.record(dtype))
        file.write(struct.pack("<i", len(tokenizer)) + tokenizer)
        for name, shape in tensor_shapes(header):
            kind = stored_type(name, shape, dtype)
            encoded_name = name.encode()
            file.write(struct.pack("<i", len(encoded_name)) + encoded_name)
            file.write(struct.pack(f"<i{len(shape)}ii", len(shape), *shape, kind))
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            file.write(data(name, shape, kind))


def encode(array: Array, dtype: DType) -> bytes:
    """The data of one tensor in a ggml type."""
    return _ENCODERS[dtype](array)


def _f32(array: Array) -> bytes:
    return array.astype("<f4").tobytes()


def _f16(array: Array) -> bytes:
    return array.astype("<f2").tobytes()


def _q8_0(array: Array) -> bytes:
    """float16 scale, 32 signed bytes: value = scale * q."""
    blocks = array.reshape(-1, QUANTIZED)
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
    blocks = array.reshape(-1, QUANTIZED)
    extreme = blocks[np.arange(len(blocks)), np.abs(blocks).argmax(axis=1)]
    scale = extreme / -half_range
    codes = np.floor(blocks * _inverse(scale)[:, None] + half_range + 0.5)
    return scale, codes.clip(0, 2 * half_range - 1).astype(np.uint8)


def _affine(array: Array, top: int) -> tuple[Array, Array, Bytes]:
    """Scale, minimum and codes where the smallest value is code 0 and the largest is `top`."""
    blocks = array.reshape(-1, QUANTIZED)
    minimum = blocks.min(axis=1)
    scale = (blocks.max(axis=1) - minimum) / top
    codes = np.floor((blocks - minimum[:, None]) * _inverse(scale)[:, None] + 0.5)
    return scale, minimum, codes.clip(0, top).astype(np.uint8)


def _inverse(scale: Array) -> Array:
    """1 / scale, and 0 for blocks of equal values."""
    return np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)


def _half(values: Array) -> Bytes:
    """One float16 a block, as two bytes."""
    halves: Bytes = values.astype("<f2").view(np.uint8).reshape(-1, 2)
    return halves


def _nibbles(codes: Bytes) -> Bytes:
    """The low four bits: columns 0 to 15 in the low halves of 16 bytes, columns 16 to 31 in the high halves."""
    low, high = codes[:, :16] & 15, codes[:, 16:] & 15
    return (low | high << 4).astype(np.uint8)


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
