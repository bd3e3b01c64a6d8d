"""The logits of models with experts against llama.cpp, which reads the same files by itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from chatglm_server.model_files.containers import read_model_file
from tests.decoding.test_gguf_llama_cpp import llama_logits
from tests.decoding.test_gguf_network import least_cosine, logits
from tests.expert_reference import ExpertReference, logits_without_ties
from tests.random_expert_gguf import AIR, FLASH, ExpertShape
from tests.random_gguf import Kind, write_random_gguf

TOKENS = 100
SHAPES: dict[str, ExpertShape] = {
    "air": AIR,
    "air with two shared experts, without norms of heads": replace(AIR, shared=2, head_norms=False),
    "air and a layer that is skipped": replace(AIR, layers=4, extra=1),
    "flash": FLASH,
    "flash with joined experts": replace(FLASH, joined_experts=True),
    "flash and a layer that is missing": replace(FLASH, layers=4, extra=1, extra_tensors=False),
}
KINDS = [Kind.Q4_K, Kind.Q6_K, Kind.Q8_0, Kind.IQ4_XS]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_logits_are_those_of_llama_cpp(tmp_path: Path, shape: ExpertShape) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", shape, vocabulary="none")
    spec = read_model_file(path).spec
    ids, _ = logits_without_ties(ExpertReference(spec), TOKENS)
    assert least_cosine(logits(spec, ids), llama_logits(path, ids)) >= 0.9999


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("shape", [AIR, FLASH], ids=["air", "flash"])
def test_quantized_weights(tmp_path: Path, shape: ExpertShape, kind: Kind) -> None:
    """Both quantize activations, each in its way; so both are measured against what the weights say. Every expert is
    used: otherwise these errors choose others.
    """
    shape = replace(shape, experts=shape.used, head_size=256 if shape is FLASH else shape.head_size)
    path = write_random_gguf(tmp_path / "model.gguf", shape, [kind], vocabulary="none")
    spec = read_model_file(path).spec
    ids = [int(token) for token in np.random.default_rng(1).integers(0, spec.vocab_size, TOKENS)]
    expected, theirs, ours = ExpertReference(spec).logits(ids), llama_logits(path, ids), logits(spec, ids)
    assert least_cosine(ours, expected) >= 0.998
    assert error(ours, expected) <= 1.1 * error(theirs, expected)


@pytest.mark.parametrize("kind", [Kind.Q8_0, Kind.Q4_K], ids=lambda kind: kind.name)
def test_quantized_activations_choose_the_same_experts_nearly_always(tmp_path: Path, kind: Kind) -> None:
    """In one layer, where no other choice follows from a choice. Another expert changes the logits by far more than
    quantization does, so they say which ones were chosen: if one of four is another one in 4% of the tokens, 99% of the
    choices are the same.
    """
    shape = replace(AIR, layers=1, dense_layers=0, experts=16, used=4)
    path = write_random_gguf(tmp_path / "model.gguf", shape, [kind], vocabulary="none")
    spec = read_model_file(path).spec
    ids = [int(token) for token in np.random.default_rng(1).integers(0, spec.vocab_size, 600)]
    got, expected = logits(spec, ids), ExpertReference(spec).logits(ids)
    cosines = (got * expected).sum(axis=1) / np.linalg.norm(got, axis=1) / np.linalg.norm(expected, axis=1)
    assert (cosines >= 0.999).mean() >= 0.96


def error(logits: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(((logits - expected) ** 2).mean()))
