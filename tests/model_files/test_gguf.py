"""The reader of GGUF headers: what the ``gguf`` package writes is read as it is, and bad files are refused."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import gguf
import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.model_files.gguf import GGUFFile, read_gguf
from chatglm_server.model_files.weight_types import OTHER_TYPES, WEIGHT_TYPES
from tests.random_gguf import GLM4_0414, Kind, write_random_gguf

KINDS = [Kind(number) for number in WEIGHT_TYPES]
U8, U32, STRING, ARRAY, U64 = 0, 4, 8, 9, 10


def test_types_are_ggmls() -> None:
    """The gguf package's table is made from ggml's."""
    for number, kind in WEIGHT_TYPES.items():
        assert kind.name == Kind(number).name
        assert (kind.columns, kind.nbytes) == gguf.GGML_QUANT_SIZES[Kind(number)]
    assert not WEIGHT_TYPES.keys() & OTHER_TYPES.keys()
    names = {kind.value: kind.name for kind in Kind}
    assert OTHER_TYPES.items() >= {item for item in names.items() if item[0] in OTHER_TYPES}


def test_tensors_are_where_the_package_finds_them(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", GLM4_0414, KINDS)
    tensors = read_gguf(path).tensors
    found = gguf.GGUFReader(path).tensors
    assert tensors.keys() == {tensor.name for tensor in found}
    for tensor in found:
        ours = tensors[tensor.name]
        assert (ours.path, ours.type) == (path, tensor.tensor_type)
        assert (ours.offset, ours.nbytes) == (tensor.data_offset, tensor.n_bytes)
        assert ours.shape == tuple(int(size) for size in reversed(tensor.shape))


def test_every_kind_of_value(tmp_path: Path) -> None:
    writer = gguf.GGUFWriter(tmp_path / "values.gguf", "toy")
    writer.add_uint8("u8", 255)
    writer.add_int8("i8", -128)
    writer.add_uint16("u16", 65535)
    writer.add_int16("i16", -32768)
    writer.add_uint32("u32", 2**32 - 1)
    writer.add_int32("i32", -(2**31))
    writer.add_uint64("u64", 2**64 - 1)
    writer.add_int64("i64", -(2**63))
    writer.add_float32("f32", 0.5)
    writer.add_float64("f64", 1e300)
    writer.add_bool("yes", True)
    writer.add_string("text", "你好\0")
    writer.add_array("texts", ["", "a", "喵" * 100_000, "z"])
    writer.add_array("numbers", [1, -2, 3])
    writer.add_array("fractions", [0.5, -1.0])
    writer.add_array("flags", [True, False])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    expected: dict[str, object] = {"u8": 255, "i8": -128, "u16": 65535, "i16": -32768, "u32": 2**32 - 1}
    expected |= {"i32": -(2**31), "u64": 2**64 - 1, "i64": -(2**63), "f32": 0.5, "f64": 1e300}
    expected |= {"yes": True, "text": "你好\0", "texts": ["", "a", "喵" * 100_000, "z"]}
    expected |= {"numbers": [1, -2, 3], "fractions": [0.5, -1.0], "flags": [True, False]}
    assert read_gguf(tmp_path / "values.gguf").metadata == {"general.architecture": "toy", **expected}


def test_a_vocabulary_of_full_size(tmp_path: Path) -> None:
    """The header is longer than what is read at a time, and strings lie across the seams."""
    tokens = [f"token {number:b}" for number in range(151_552)]
    writer = gguf.GGUFWriter(tmp_path / "large.gguf", "toy")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(tokens))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    metadata = read_gguf(tmp_path / "large.gguf").metadata
    assert metadata["tokenizer.ggml.tokens"] == tokens
    assert metadata["tokenizer.ggml.token_type"] == [1] * len(tokens)


Tensor = tuple[bytes, Sequence[int], int, int]
"""Name, sizes (columns first), type, offset."""


def text(value: bytes) -> bytes:
    return struct.pack("<Q", len(value)) + value


def pair(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def raw(
    pairs: Sequence[bytes] = (), tensors: Sequence[Tensor] = (), data: int = 4096, counts: Mapping[str, int] = {}
) -> bytes:
    """A file of these parts and so many bytes of data; `counts` says something else in its front."""
    front = {"magic": 0x46554747, "version": 3, "tensors": len(tensors), "pairs": len(pairs), **counts}
    head = struct.pack("<IIQQ", *front.values()) + b"".join(pairs)
    for name, sizes, kind, offset in tensors:
        head += text(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)
    return head + bytes(-len(head) % 32 + data)


def read(tmp_path: Path, data: bytes) -> GGUFFile:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    return read_gguf(path)


def test_what_the_hostile_files_are_made_of_is_read(tmp_path: Path) -> None:
    tensors: list[Tensor] = [(b"a", (32, 3), 8, 0), (b"b", (5,), 0, 128), (b"c", (256, 2, 2), 14, 160)]
    for version in (2, 3):
        file = read(tmp_path, raw([pair(b"key", U8, b"\7")], tensors, counts={"version": version}))
        assert file.metadata == {"key": 7}
        shapes = {name: (tensor.shape, tensor.nbytes) for name, tensor in file.tensors.items()}
        assert shapes == {"a": ((3, 32), 102), "b": ((5,), 20), "c": ((2, 2, 256), 840)}
    aligned = raw([pair(b"general.alignment", U32, struct.pack("<I", 64))], [(b"a", (1,), 0, 0), (b"b", (1,), 0, 64)])
    assert read(tmp_path, aligned).tensors["b"].offset % 64 == 0


ONE = struct.pack("<Q", 1)
HUGE = struct.pack("<Q", 1 << 62)
BROKEN: dict[str, tuple[bytes, str]] = {
    "magic": (raw(counts={"magic": 7}), "begin with"),
    "version 1": (raw(counts={"version": 1}), "version 1"),
    "version 4": (raw(counts={"version": 4}), "version 4"),
    "big-endian": (raw(counts={"version": 3 << 24}), "big-endian"),
    "too many tensors": (raw(counts={"tensors": 1 << 40}), f"{1 << 40} tensors"),
    "far too many keys": (raw(counts={"pairs": 1 << 63}), f"{1 << 63} keys"),
    "a tensor too many": (raw(counts={"tensors": 1}, data=0), "tensor 1"),
    "a key too many": (raw(counts={"pairs": 1}, data=0), "key 1"),
    "empty key": (raw([pair(b"", U8, b"\0")]), "key 1"),
    "key with a line break": (raw([pair(b"a\nb", U8, b"\0")]), "key 1"),
    "long key": (raw([pair(b"k" * 65536, U8, b"\0")]), "key 1"),
    "key twice": (raw([pair(b"key", U8, b"\0")] * 2), "key twice"),
    "key that is not UTF-8": (raw([pair(b"\xff", U8, b"\0")]), "UTF-8"),
    "string that is not UTF-8": (raw([pair(b"key", STRING, text(b"\xe4\xbd"))]), "key that is not UTF-8"),
    "long string": (raw([pair(b"key", STRING, HUGE)]), "ends in the middle of key"),
    "unknown type": (raw([pair(b"key", 13, b"\0")]), "unknown type 13"),
    "array of arrays": (raw([pair(b"key", ARRAY, struct.pack("<I", ARRAY) + ONE)]), "unknown type 9"),
    "long array": (raw([pair(b"key", ARRAY, struct.pack("<I", U64) + HUGE)]), "no room"),
    "long array of strings": (raw([pair(b"key", ARRAY, struct.pack("<I", STRING) + HUGE)]), "no room"),
    "far too many elements": (
        raw([pair(b"key", ARRAY, struct.pack("<IQ", U8, 5 << 20) + bytes(5 << 20))]),
        "arrays of",
    ),
    "header too long": (raw([pair(b"key", STRING, text(bytes(33 << 20)))]), "32 MiB"),
    "alignment 0": (raw([pair(b"general.alignment", U32, bytes(4))]), "power of two"),
    "alignment 24": (raw([pair(b"general.alignment", U8, b"\30")]), "power of two"),
    "alignment of text": (raw([pair(b"general.alignment", STRING, text(b"x"))]), "power of two"),
    "long name": (raw(tensors=[(b"n" * 64, (32,), 0, 0)]), "tensor 1"),
    "name twice": (raw(tensors=[(b"a", (8,), 0, 0), (b"a", (8,), 0, 32)]), "a twice"),
    "no dimensions": (raw(tensors=[(b"a", (), 0, 0)]), "0 dimensions"),
    "five dimensions": (raw(tensors=[(b"a", (1,) * 5, 0, 0)]), "5 dimensions"),
    "empty tensor": (raw(tensors=[(b"a", (32, 0), 0, 0)]), "shape [0, 32]"),
    "half a block": (raw(tensors=[(b"a", (48,), 2, 0)]), "shape [48] in Q4_0"),
    "size that overflows": (raw(tensors=[(b"a", (1 << 63, 1 << 63), 0, 0)]), "not copied whole"),
    "type that is not run": (raw(tensors=[(b"a", (256,), 17, 0)]), "a as IQ2_XS"),
    "type that is not known": (raw(tensors=[(b"a", (256,), 99, 0)]), "unknown type 99"),
    "gap": (raw(tensors=[(b"a", (8,), 0, 0), (b"b", (8,), 0, 64)]), "offset 64, not 32"),
    "overlap": (raw(tensors=[(b"a", (64,), 0, 0), (b"b", (8,), 0, 32)]), "offset 32, not 256"),
    "late first tensor": (raw(tensors=[(b"a", (8,), 0, 32)]), "offset 32, not 0"),
    "data cut": (raw(tensors=[(b"a", (1024,), 0, 0)], data=4095), "ends 1 bytes before a is complete"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_in_one_line(tmp_path: Path, case: str) -> None:
    data, words = BROKEN[case]
    with pytest.raises(ModelFileError) as caught:
        read(tmp_path, data)
    assert words in caught.value.message
    assert str(tmp_path / "model.gguf") in caught.value.message
    assert caught.value.message.isprintable()


def test_every_truncation(tmp_path: Path) -> None:
    whole = write_random_gguf(tmp_path / "whole.gguf").read_bytes()
    end = whole.index(b"blk.0.attn_q.weight")
    for cut in [*range(0, end, 41), *range(len(whole) - 2000, len(whole) - 31, 211)]:
        with pytest.raises(ModelFileError):
            read(tmp_path, whole[:cut])


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.gguf", tmp_path):
        with pytest.raises(ModelFileError, match="cannot be read"):
            read_gguf(path)
