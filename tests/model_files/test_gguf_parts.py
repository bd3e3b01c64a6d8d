"""Models in several GGUF files, as the ``gguf`` package splits them."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.model_files.gguf_parts import read_gguf_parts
from tests.random_gguf import GLM4_0414, write_random_gguf


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    write_random_gguf(tmp_path / "model.gguf", GLM4_0414, split=10)
    return sorted(tmp_path.iterdir())


def test_any_part_stands_for_the_model(tmp_path: Path, parts: list[Path]) -> None:
    assert [path.name for path in parts] == [f"model-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    whole = read_gguf_parts(write_random_gguf(tmp_path / "whole.gguf", GLM4_0414))
    for path in parts:
        file = read_gguf_parts(path)
        assert file.path == path
        assert file.metadata["general.architecture"] == "glm4"
        assert {name: tensor.shape for name, tensor in file.tensors.items()} == {
            name: tensor.shape for name, tensor in whole.tensors.items()
        }
        for name, tensor in file.tensors.items():
            other = whole.tensors[name]
            data = np.memmap(tensor.path, np.uint8, "r", tensor.offset, tensor.nbytes)
            assert np.array_equal(data, np.memmap(other.path, np.uint8, "r", other.offset, other.nbytes))


def refusal(path: Path) -> str:
    with pytest.raises(ModelFileError) as caught:
        read_gguf_parts(path)
    assert str(path.parent) in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value.message


def test_a_missing_part(parts: list[Path]) -> None:
    parts[1].unlink()
    assert "model-00002-of-00003.gguf is missing" in refusal(parts[0])


def test_a_part_under_another_name(parts: list[Path]) -> None:
    renamed = parts[0].rename(parts[0].with_name("first.gguf"))
    assert "give the parts their names back" in refusal(renamed)


def test_a_part_in_the_place_of_another(parts: list[Path]) -> None:
    parts[1].write_bytes(parts[2].read_bytes())
    assert "is not part 2 of 3" in refusal(parts[0])


def test_a_part_that_is_broken(parts: list[Path]) -> None:
    parts[2].write_bytes(parts[2].read_bytes()[:-100])
    assert "not copied whole" in refusal(parts[0])


def write_part(path: Path, number: int, tensors: dict[str, int], **keys: int) -> None:
    """A part whose keys say what the test wants."""
    writer = gguf.GGUFWriter(path, "glm4")
    for key, value in {"split.no": number, "split.count": 2, **keys}.items():
        writer.add_uint16(key, value)
    for name, size in tensors.items():
        writer.add_tensor(name, np.zeros(size, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_tensor_in_two_parts_and_a_wrong_sum(tmp_path: Path) -> None:
    first, second = (tmp_path / f"toy-0000{number}-of-00002.gguf" for number in (1, 2))
    write_part(first, 0, {}, **{"split.tensors.count": 2})  # the first part may hold none
    write_part(second, 1, {"a": 8, "b": 8})
    assert read_gguf_parts(second).tensors.keys() == {"a", "b"}
    write_part(first, 0, {"a": 8}, **{"split.tensors.count": 3})
    assert "the tensor a, which another part holds" in refusal(first)
    write_part(first, 0, {"c": 8}, **{"split.tensors.count": 4})
    assert "the parts hold 3 tensors; the first says that they hold 4" in refusal(first)
