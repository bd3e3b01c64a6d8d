"""Writes GGUF files (version 3, little endian), one piece of a tensor in memory at a time.

The layout is ggml's (its ``docs/gguf.md``)::

    "GGUF"  u32 version  u64 tensors  u64 pairs
    per pair: key, u32 type, value
    per tensor: name, u32 dimensions, u64 each (the fastest first), u32 type, u64 offset from the start of the data
    zero bytes up to a multiple of the alignment, data of each tensor padded likewise

A string is its length (u64) and UTF-8.
"""

from __future__ import annotations

import errno
import shutil
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

ALIGNMENT = 32
_VERSION = 3

Value = bool | int | float | str | Sequence[int] | Sequence[float] | Sequence[str]
"""A value of the metadata. A whole number is written as u32, in an array as i32, or as a type that holds it."""

_BOOL, _F32 = (7, "?"), (6, "f")
_WHOLE = ((4, "I", 0, 1 << 32), (5, "i", -(1 << 31), 1 << 31), (10, "Q", 0, 1 << 64), (11, "q", -(1 << 63), 1 << 63))
"""(number in the file, struct's letter, least, most + 1) of the types of whole numbers."""
_STRING, _ARRAY = 8, 9


@dataclass(frozen=True, slots=True)
class TensorData:
    """A tensor to write: its shape with the rows first, ggml's number of its type, and its size in bytes.

    `pieces` gives its bytes, in order and in pieces of any size, when its turn has come.
    """

    name: str
    shape: tuple[int, ...]
    type: int
    nbytes: int
    pieces: Callable[[], Iterable[bytes | memoryview]]


def write_gguf(
    path: Path,
    metadata: Mapping[str, Value],
    tensors: Sequence[TensorData],
    written: Callable[[int], object] = lambda nbytes: None,
) -> None:
    """Writes a whole file. It gets its name when it is complete; until then it is called ``NAME.part``.

    `written` is told of the bytes of each piece, for a progress bar.

    Raises: OSError, also if the disk has too little space; ValueError for a tensor whose pieces do not have its size.
    """
    head = _head(metadata, tensors)
    size = len(head) + sum(_padded(tensor.nbytes) for tensor in tensors)
    free = shutil.disk_usage(path.parent).free
    if free < size:
        needed = f"the file takes {size / 1e9:.1f} GB, and {free / 1e9:.1f} GB of the disk are free"
        raise OSError(errno.ENOSPC, needed, str(path))
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            file.write(head)
            for tensor in tensors:
                _write_tensor(file, tensor, written)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write_tensor(file: BinaryIO, tensor: TensorData, written: Callable[[int], object]) -> None:
    count = 0
    for piece in tensor.pieces():
        nbytes = memoryview(piece).nbytes
        count += nbytes
        if count > tensor.nbytes:
            break
        file.write(piece)
        written(nbytes)
    if count != tensor.nbytes:
        raise ValueError(f"{tensor.name} has {count} bytes or more, not {tensor.nbytes}")
    file.write(bytes(_padded(count) - count))


def _head(metadata: Mapping[str, Value], tensors: Sequence[TensorData]) -> bytes:
    """Everything in front of the tensors' data, padded."""
    parts = [b"GGUF", struct.pack("<IQQ", _VERSION, len(tensors), len(metadata))]
    parts += [_string(key) + _typed(value) for key, value in metadata.items()]
    offset = 0
    for tensor in tensors:
        sizes = tensor.shape[::-1]
        parts.append(_string(tensor.name))
        parts.append(struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, tensor.type, offset))
        offset += _padded(tensor.nbytes)
    head = b"".join(parts)
    return head + bytes(_padded(len(head)) - len(head))


def _typed(value: Value) -> bytes:
    """The number of the value's type, and the value."""
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    if isinstance(value, (bool, int, float)):
        number, letter = _number_type([value])
        return struct.pack(f"<I{letter}", number, value)
    numbers = [item for item in value if not isinstance(item, str)]
    if not numbers:
        return struct.pack("<IIQ", _ARRAY, _STRING, len(value)) + b"".join(_string(str(item)) for item in value)
    number, letter = _number_type(numbers)
    return struct.pack(f"<IIQ{len(numbers)}{letter}", _ARRAY, number, len(numbers), *numbers)


def _number_type(values: Sequence[float]) -> tuple[int, str]:
    """(number in the file, struct's letter) of a type that holds all of `values`."""
    if isinstance(values[0], bool):
        return _BOOL
    if any(isinstance(value, float) for value in values):
        return _F32
    least, most = min(values), max(values)
    # llama.cpp reads arrays as i32 and most single numbers as u32
    types = _WHOLE if len(values) == 1 else (_WHOLE[1], *_WHOLE)
    return next((number, letter) for number, letter, first, end in types if first <= least and most < end)


def _string(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack("<Q", len(encoded)) + encoded


def _padded(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
