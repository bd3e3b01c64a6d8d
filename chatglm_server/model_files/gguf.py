"""Reads the header of a GGUF file, and checks it before anything else uses it.

Versions 2 and 3, little endian, as ggml's ``docs/gguf.md`` describes them::

    "GGUF"  uint32 version  uint64 tensors  uint64 pairs
    per pair:   string key, uint32 type, value
    per tensor: string name, uint32 dimensions, uint64 per dimension (columns first), uint32 ggml type,
                uint64 offset from the start of the data
    zero bytes up to a multiple of the alignment, then the tensors' data, each padded to the alignment

A string is a uint64 length and UTF-8. A file may claim anything, so every count is bounded by the bytes that are left
before anything of that size is made. See `gguf_parts` for models in several files.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ..errors import ModelFileError
from .spec import TensorSpec
from .weight_types import OTHER_TYPES, WEIGHT_TYPES

Value = int | float | bool | str | list[int] | list[float] | list[bool] | list[str]
"""The value of a key, whatever its width in the file."""

MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_HEADER_BYTES = 32 << 20  # a vocabulary of 150,000 tokens with its merges takes 10 MB
_MAX_TENSORS = _MAX_PAIRS = 1 << 16
_MAX_ELEMENTS = 1 << 22  # of all arrays together: a number in a list takes up to 36 bytes, and in the file maybe one
_MAX_DIMENSIONS = 4
_MAX_KEY_BYTES = (1 << 16) - 1
_MAX_NAME_BYTES = 63
_FIRST_READ = 1 << 16

_STRING, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", _BOOL: "B", 10: "Q", 11: "q", 12: "d"}
"""Type of a value → its format in `struct`."""
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class GGUFFile:
    """A checked header: the keys, and the tensors by their names. `path` is the file that the user named."""

    path: Path
    metadata: Mapping[str, Value]
    tensors: Mapping[str, TensorSpec]


def read_gguf(path: Path) -> GGUFFile:
    """Reads one file, which may be one of several parts.

    Raises: ModelFileError, whose message is one line that names the file and the fault.
    """
    try:
        with path.open("rb") as file:
            return _Reader(path, file).read()
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from None


class _Reader:
    """Reads a header from front to back. `_data` holds the file up to somewhere behind `_at`."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self._size = os.fstat(file.fileno()).st_size
        self._data = b""
        self._at = 0
        self._elements_left = _MAX_ELEMENTS

    def read(self) -> GGUFFile:
        if self._bytes(4, "the magic") != MAGIC:
            raise self._error('is no GGUF file: it does not begin with "GGUF"')
        version = self._integer("I", "the version")
        if version in [number << 24 for number in _VERSIONS]:
            raise self._error("is in big-endian byte order; get the little-endian one")
        if version not in _VERSIONS:
            raise self._error(f"has the GGUF version {version}; this server reads versions 2 and 3")
        tensors, pairs = self._integer("Q", "the number of tensors"), self._integer("Q", "the number of keys")
        if tensors > _MAX_TENSORS or pairs > _MAX_PAIRS:
            raise self._error(f"says that it holds {tensors} tensors and {pairs} keys")
        metadata = self._metadata(pairs)
        alignment = metadata.get("general.alignment", _DEFAULT_ALIGNMENT)
        if type(alignment) is not int or alignment < 1 or alignment & (alignment - 1):
            raise self._error("has a general.alignment that is no power of two")
        return GGUFFile(self._path, metadata, self._tensors(tensors, alignment))

    def _error(self, what: str) -> ModelFileError:
        return ModelFileError(f"{self._path}: the file {what}")

    def _need(self, count: int, what: str) -> None:
        """Makes `_data` hold `count` bytes from `_at` on."""
        end = self._at + count
        if end <= len(self._data):
            return
        if end > self._size:
            raise self._error(f"ends in the middle of {what}, after {self._size} bytes; it was not copied whole")
        if end > _MAX_HEADER_BYTES:
            raise self._error(f"has a header of more than {_MAX_HEADER_BYTES >> 20} MiB")
        more = max(end - len(self._data), len(self._data), _FIRST_READ)
        self._data += self._file.read(min(more, _MAX_HEADER_BYTES - len(self._data)))
        if end > len(self._data):
            raise self._error("shrank while it was read")

    def _bytes(self, count: int, what: str) -> bytes:
        self._need(count, what)
        self._at += count
        return self._data[self._at - count : self._at]

    def _integer(self, layout: str, what: str) -> int:
        return int(self._numbers(layout, 1, what)[0])

    def _numbers(self, layout: str, count: int, what: str) -> list[int] | list[float]:
        data = self._bytes(count * struct.calcsize("<" + layout), what)
        return list(struct.unpack(f"<{count}{layout}", data))

    def _count(self, size: int, what: str) -> int:
        """Reads a count of things of at least `size` bytes each, and checks that the rest of the file can hold them."""
        count = self._integer("Q", what)
        if count * size > self._size - self._at:
            raise self._error(f"says that {what} has {count} elements, which it has no room for")
        self._elements_left -= count
        if self._elements_left < 0:
            raise self._error(f"has arrays of more than {_MAX_ELEMENTS} elements")
        return count

    def _strings(self, count: int, what: str) -> list[str]:
        """Large vocabularies come this way, so the loop does as little as it can."""
        strings: list[str] = []
        unpack, data, size, at = _LENGTH.unpack_from, self._data, len(self._data), self._at
        try:
            for _ in range(count):
                begin = at + 8
                end = begin + unpack(data, at)[0] if begin <= size else begin
                if end > size:
                    self._at = at
                    end = begin + self._string_length(what)
                    data, size = self._data, len(self._data)
                strings.append(data[begin:end].decode())
                at = end
        except UnicodeDecodeError:
            raise self._error(f"has text in {what} that is not UTF-8") from None
        self._at = at
        return strings

    def _string_length(self, what: str) -> int:
        """The length of the string at `_at`, which is in `_data` after this."""
        self._need(8, what)
        length = int(_LENGTH.unpack_from(self._data, self._at)[0])
        self._need(8 + length, what)
        return length

    def _name(self, most: int, what: str) -> str:
        """A key or the name of a tensor."""
        (name,) = self._strings(1, what)
        if not 0 < len(name.encode()) <= most or not name.isprintable():
            raise self._error(f"has a name in {what} that is empty, too long or not printable")
        return name

    def _metadata(self, count: int) -> dict[str, Value]:
        metadata: dict[str, Value] = {}
        for index in range(count):
            key = self._name(_MAX_KEY_BYTES, f"key {index + 1}")
            if key in metadata:
                raise self._error(f"has the key {key} twice")
            metadata[key] = self._value(key)
        return metadata

    def _value(self, key: str) -> Value:
        kind = self._integer("I", key)
        if kind == _STRING:
            return self._strings(1, key)[0]
        if kind == _ARRAY:
            return self._array(key)
        (value,) = self._elements(kind, 1, key)
        return value

    def _array(self, key: str) -> Value:
        kind = self._integer("I", key)
        if kind == _STRING:
            return self._strings(self._count(8, key), key)
        if kind not in _NUMBERS:
            raise self._error(f"has an array of the unknown type {kind} as {key}")
        return self._elements(kind, self._count(struct.calcsize(_NUMBERS[kind]), key), key)

    def _elements(self, kind: int, count: int, key: str) -> list[int] | list[float] | list[bool]:
        if kind not in _NUMBERS:
            raise self._error(f"has a value of the unknown type {kind} as {key}")
        numbers = self._numbers(_NUMBERS[kind], count, key)
        return [number != 0 for number in numbers] if kind == _BOOL else numbers

    def _tensors(self, count: int, alignment: int) -> dict[str, TensorSpec]:
        found: list[tuple[str, int, tuple[int, ...], int, int]] = []
        end = 0  # of the tensor before, padded
        for index in range(count):
            name = self._name(_MAX_NAME_BYTES, f"tensor {index + 1}")
            dimensions = self._integer("I", name)
            if not 0 < dimensions <= _MAX_DIMENSIONS:
                raise self._error(f"says that {name} has {dimensions} dimensions")
            shape = tuple(int(size) for size in reversed(self._numbers("Q", dimensions, name)))
            kind, offset = self._integer("I", name), self._integer("Q", name)
            nbytes = self._tensor_bytes(name, kind, shape)
            if offset != end:
                raise self._error(f"has {name} at the offset {offset}, not {end}")
            found.append((name, kind, shape, offset, nbytes))
            end = _padded(offset + nbytes, alignment)
        data = _padded(self._at, alignment)
        tensors: dict[str, TensorSpec] = {}
        for name, kind, shape, offset, nbytes in found:
            if name in tensors:
                raise self._error(f"holds the tensor {name} twice")
            if missing := max(0, data + offset + nbytes - self._size):
                raise self._error(f"ends {missing} bytes before {name} is complete; it was not copied whole")
            tensors[name] = TensorSpec(self._path, kind, shape, data + offset, nbytes)
        return tensors

    def _tensor_bytes(self, name: str, number: int, shape: tuple[int, ...]) -> int:
        if number not in WEIGHT_TYPES:
            other = OTHER_TYPES.get(number, f"the unknown type {number}")
            raise self._error(f"has {name} as {other}, which this server does not run; choose Q4_K_M or Q8_0")
        kind = WEIGHT_TYPES[number]
        if min(shape) < 1 or shape[-1] % kind.columns:
            raise self._error(f"says that {name} has the shape {list(shape)} in {kind.name}")
        return math.prod(shape) // kind.columns * kind.nbytes


def _padded(offset: int, alignment: int) -> int:
    return -(-offset // alignment) * alignment
