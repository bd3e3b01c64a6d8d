"""What the core copies out of its cache and puts into that of another: the same bits as if that had read the tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import chatglm_native
import numpy as np
import numpy.typing as npt
import pytest

from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import CacheType, ModelSpec
from tests.random_expert_gguf import FLASH
from tests.random_gguf import GLM4_0414, Kind, Shape, write_random_gguf

CONTEXT, HELD = 200, 112
IDS = [7 * place % 61 for place in range(HELD + 9)]


def load(spec: ModelSpec, threads: int) -> chatglm_native.Model:
    return chatglm_native.Model(chatglm_native.ThreadPool(threads), spec, context=CONTEXT, slots=3)


def logits(model: chatglm_native.Model, slot: int, start: int) -> npt.NDArray[np.float32]:
    """After each token from `start` on."""
    rows = [(slot, start + place, token) for place, token in enumerate(IDS[start:])]
    return cast("npt.NDArray[np.float32]", np.from_dlpack(model.forward(rows, list(range(len(rows))))))


@pytest.mark.parametrize("cache_type", ["f16", "q8"])
@pytest.mark.parametrize("shape", [GLM4_0414, FLASH], ids=["glm4", "flash"])
def test_copied_keys_and_values_are_those_that_were_read(shape: Shape, cache_type: CacheType, tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", shape, [Kind.Q8_0], vocabulary="none")
    spec = replace(read_model_file(path).spec, cache_type=cache_type)
    source, target = load(spec, 2), load(spec, 1)
    expected = logits(source, 1, 0)[HELD:]
    pieces = [(start, count, source.read_cache(1, start, count)) for start, count in ((0, 48), (48, 16), (64, 48))]
    assert [len(data) for _, _, data in pieces] == [source.cache_bytes(count) for _, count, _ in pieces]
    assert source.cache_bytes(16) == 16 * spec.cache_bytes
    for start, count, data in reversed(pieces):
        target.write_cache(2, start, count, data)
    assert target.read_cache(2, 0, HELD) == source.read_cache(1, 0, HELD)
    assert np.array_equal(logits(target, 2, HELD), expected)


def test_pieces_outside_the_cache_are_refused(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", GLM4_0414, [Kind.Q8_0], vocabulary="none")
    model = load(read_model_file(path).spec, 1)
    data = model.read_cache(0, 0, 32)
    for slot, start, count in ((-1, 0, 32), (3, 0, 32), (0, -16, 32), (0, 208, 0), (0, 192, 32), (0, 0, -16)):
        with pytest.raises(ValueError, match="outside the model"):
            model.read_cache(slot, start, count)
        with pytest.raises(ValueError, match=r"outside the model|another size"):
            model.write_cache(slot, start, count, data if count else b"")
    for start, count in ((8, 32), (0, 24), (1, 16)):
        with pytest.raises(ValueError, match="multiple of 16"):
            model.read_cache(0, start, count)
    for wrong in (data[:-1], data + b"x", b""):
        with pytest.raises(ValueError, match="another size"):
            model.write_cache(0, 0, 32, wrong)
    with pytest.raises(ValueError, match="outside the model"):
        model.cache_bytes(1 << 30)
    with pytest.raises(TypeError):
        model.write_cache(0, 0, 32, bytearray(data))  # type: ignore[arg-type]
    assert model.read_cache(2, 0, 0) == b""
