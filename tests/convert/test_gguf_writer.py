"""What the writer writes, read back by the `gguf` package."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from chatglm_server.convert.gguf_writer import TensorData, Value, write_gguf

METADATA: dict[str, Value] = {
    "general.architecture": "chatglm",
    "general.name": "名字 \N{SNOWMAN}",
    "a.flag": True,
    "a.count": 7,
    "a.negative": -7,
    "a.large": 1 << 40,
    "a.epsilon": 1.5625e-7,
    "a.strings": ["", "Ġthe", "你好", "\0"],
    "a.numbers": [1, -2, 3],
    "a.scores": [0.0, -1.5],
    "a.flags": [True, False],
}


def tensor(name: str, array: np.ndarray[Any, Any], kind: int, pieces: int = 1) -> TensorData:
    data = array.tobytes()
    step = -(-len(data) // pieces)
    return TensorData(
        name, array.shape, kind, len(data), lambda: (data[at : at + step] for at in range(0, len(data), step))
    )


def test_the_gguf_package_reads_it(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    matrix = random.normal(size=(5, 7)).astype(np.float32)
    stack = random.normal(size=(2, 3, 4)).astype(np.float16)
    blocks = random.integers(0, 256, (4, 2 * 18), dtype=np.uint8)
    path = tmp_path / "model.gguf"
    counts: list[int] = []
    quantized = TensorData("c", (4, 64), 2, blocks.nbytes, lambda: [blocks[:1].data, blocks[1:].tobytes()])
    write_gguf(path, METADATA, [tensor("a", matrix, 0, 9), tensor("b.weight", stack, 1), quantized], counts.append)

    reader = gguf.GGUFReader(path)
    assert {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF.")} == {
        **METADATA,
        "a.epsilon": float(np.float32(1.5625e-7)),
    }
    types = {key: [str(kind.name) for kind in reader.fields[key].types] for key in METADATA}
    assert types["a.count"] == ["UINT32"]
    assert types["a.numbers"] == ["ARRAY", "INT32"]  # as llama.cpp reads it
    assert [t.name for t in reader.tensors] == ["a", "b.weight", "c"]
    assert (reader.tensors[0].data == matrix).all()
    assert (reader.tensors[1].data == stack).all()
    assert (reader.tensors[2].data == blocks).all()
    assert [list(t.shape) for t in reader.tensors] == [[7, 5], [4, 3, 2], [64, 4]]
    assert [t.tensor_type.name for t in reader.tensors] == ["F32", "F16", "Q4_0"]
    assert all(t.data_offset % 32 == 0 for t in reader.tensors)
    assert sum(counts) == matrix.nbytes + stack.nbytes + blocks.nbytes
    assert path.stat().st_size % 32 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_without_tensors(tmp_path: Path) -> None:
    write_gguf(tmp_path / "vocabulary.gguf", METADATA, [])
    assert gguf.GGUFReader(tmp_path / "vocabulary.gguf").tensors == []


@pytest.mark.parametrize("nbytes", [39, 41])
def test_a_tensor_of_another_size_leaves_no_file(tmp_path: Path, nbytes: int) -> None:
    with pytest.raises(ValueError, match=r"^x has .* bytes"):
        write_gguf(tmp_path / "x.gguf", {}, [TensorData("x", (10,), 0, nbytes, lambda: [bytes(40)])])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"old")

    def interrupted() -> Iterator[bytes]:
        yield bytes(20)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_gguf(path, {}, [TensorData("x", (10,), 0, 40, interrupted)])
    assert [(found, found.read_bytes()) for found in tmp_path.iterdir()] == [(path, b"old")]


def test_too_little_space_is_found_first(tmp_path: Path) -> None:
    size = 10 * shutil.disk_usage(tmp_path).total
    with pytest.raises(OSError, match=r"the file takes .* GB, and .* GB of the disk are free"):
        write_gguf(tmp_path / "x.gguf", {}, [TensorData("x", (size // 4,), 0, size, list)])
    assert list(tmp_path.iterdir()) == []
