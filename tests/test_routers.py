"""How scripts/compare_experts.py reads the routers of the core and of llama.cpp: of float weights, all say the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from benchmark.routers import ExactRouters, core_run, llama_cpp_run

from chatglm_server.model_files.containers import read_model_file
from tests.random_expert_gguf import FLASH
from tests.random_gguf import Kind, write_random_gguf


def test_all_readers_find_the_same_scores(tmp_path: Path) -> None:
    spec = read_model_file(write_random_gguf(tmp_path / "model.gguf", FLASH, [Kind.F32], vocabulary="none")).spec
    ids = [int(token) for token in np.random.default_rng(1).integers(0, spec.vocab_size, 60)]
    exact = ExactRouters(spec).run(ids)
    assert exact.scores.shape == (FLASH.layers - FLASH.dense_layers, len(ids), FLASH.experts)
    for run in (core_run(spec, ids, tmp_path), llama_cpp_run(spec, ids), llama_cpp_run(spec, ids, at_once=1)):
        first, expected = run.scores[0], exact.scores[0]  # no choice of experts is before it
        assert np.corrcoef(first.ravel(), expected.ravel())[0, 1] > 0.9999
        assert (run.chosen == exact.chosen).all(axis=2).mean() > 0.9
