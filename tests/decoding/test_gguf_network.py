"""The logits of GGUF models, of every architecture and layout, against the forward pass in NumPy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import chatglm_native
import numpy as np
import numpy.typing as npt
import pytest

from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import ModelSpec
from tests.random_gguf import CHATGLM3, GLM4_0414, GLM4_9B, Kind, Shape, write_random_gguf
from tests.reference import Reference

TOKENS = 70
SHAPES = {
    "chatglm3": CHATGLM3,
    "glm-4-9b": GLM4_9B,
    "glm-4-9b-hf": replace(GLM4_9B, joined=False),
    "glm-4-0414": GLM4_0414,
    "glm-4-0414 joined": replace(GLM4_0414, joined=True, biases=True),
    "glm-4.1v": replace(GLM4_0414, sections=(4, 2, 2, 0)),
    "tied": replace(GLM4_0414, tied=True),
    "heads wider than the model": replace(GLM4_0414, head_size=64),
}


def logits(spec: ModelSpec, ids: list[int]) -> npt.NDArray[np.float64]:
    model = chatglm_native.Model(chatglm_native.ThreadPool(2), spec, context=len(ids), slots=1)
    rows = [(0, place, token) for place, token in enumerate(ids)]
    return np.asarray(np.from_dlpack(model.forward(rows, list(range(len(ids))))), np.float64)


def least_cosine(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Of all positions."""
    return float(((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


@pytest.mark.parametrize("kind", [Kind.F32, Kind.Q8_0], ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_logits_are_those_of_the_reference(tmp_path: Path, shape: Shape, kind: Kind) -> None:
    spec = read_model_file(write_random_gguf(tmp_path / "model.gguf", shape, [kind], vocabulary="none")).spec
    ids = [int(token) for token in np.random.default_rng(1).integers(0, spec.vocab_size, TOKENS)]
    assert least_cosine(logits(spec, ids), Reference(spec).logits(ids)) >= (0.9999 if kind == Kind.F32 else 0.999)


def test_parts_and_the_whole_are_one_model(tmp_path: Path) -> None:
    write_random_gguf(tmp_path / "model.gguf", split=7, vocabulary="none")
    whole = read_model_file(write_random_gguf(tmp_path / "whole.gguf", vocabulary="none")).spec
    parts = read_model_file(min(tmp_path.glob("model-*"))).spec
    assert len({tensor.path for tensor in parts.tensors.values()}) == 4
    assert np.array_equal(logits(parts, [3, 1, 4, 1, 5]), logits(whole, [3, 1, 4, 1, 5]))
