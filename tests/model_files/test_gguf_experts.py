"""From GGUF keys to specs of models with experts: what files say, leave out, or say wrongly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import chatglm_native
import gguf
import numpy as np
import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.model_file import with_cache_type
from chatglm_server.model_files.spec import ExpertFigures, LatentFigures
from tests.random_expert_gguf import AIR, FLASH, ExpertShape
from tests.random_gguf import write_random_gguf


def test_the_figures_of_flash(tmp_path: Path) -> None:
    file = read_model_file(write_random_gguf(tmp_path / "model.gguf", FLASH, vocabulary="none"))
    spec = file.spec
    assert (file.architecture, spec.architecture, file.chat_format) == ("deepseek2", "deepseek2", "glm47")
    assert (spec.heads, spec.kv_heads, spec.key_size, spec.value_size) == (8, 1, 96, 96)
    assert (spec.rotary_size, spec.rotary_layout) == (32, "interleaved")
    assert spec.latent == LatentFigures(query_rank=256, rank=256)
    assert spec.experts == ExpertFigures(8, 3, 256, 256, dense_layers=1, scale=float(np.float32(1.8)))
    assert spec.cache_bytes == 3 * (2 * (256 + 32) + 8)
    assert with_cache_type(file, "auto").spec.cache_type == "f16"
    assert with_cache_type(file, "q8").spec.cache_bytes == 3 * (256 + 2 * 32 + 8)
    chatglm_native.check(spec)


def test_the_figures_of_air(tmp_path: Path) -> None:
    shape = replace(AIR, shared=2, dense_layers=0)
    file = read_model_file(write_random_gguf(tmp_path / "model.gguf", shape, vocabulary="none"))
    spec = file.spec
    assert (file.architecture, spec.architecture, file.chat_format) == ("glm4moe", "glm4moe", "glm45")
    assert (spec.kv_heads, spec.latent, spec.rotary_layout) == (2, None, "halves")
    assert spec.experts == ExpertFigures(8, 3, 256, 512, dense_layers=0, scale=float(np.float32(1.8)))
    chatglm_native.check(spec)


@pytest.mark.parametrize(
    "shape",
    [replace(FLASH, joined_keys_values=True), replace(FLASH, architecture="glm4moelite", gating=None)],
    ids=["of old", "of Ollama"],
)
def test_other_forms_are_the_same_network(tmp_path: Path, shape: ExpertShape) -> None:
    spec = read_model_file(write_random_gguf(tmp_path / "model.gguf", shape, vocabulary="none")).spec
    usual = read_model_file(write_random_gguf(tmp_path / "usual.gguf", FLASH, vocabulary="none")).spec
    assert replace(spec, tensors={}, path=usual.path) == replace(usual, tensors={})
    chatglm_native.check(spec)


@pytest.mark.parametrize("tensors", [True, False], ids=["in the file", "missing"])
def test_layers_for_one_token_more_are_left_out(tmp_path: Path, tensors: bool) -> None:
    shape = replace(FLASH, layers=4, extra=1, extra_tensors=tensors)
    spec = read_model_file(write_random_gguf(tmp_path / "model.gguf", shape, vocabulary="none")).spec
    assert spec.layers == 3
    assert not any(name.startswith("blk.3.") for name in spec.tensors)
    chatglm_native.check(spec)


def changed(path: Path, key: str, value: int | float | bool | None) -> Path:
    """The file with another value of a key of its architecture, or without it."""
    reader = gguf.GGUFReader(path, "r+")
    field = reader.fields[f"deepseek2.{key}"]
    if value is None:
        field.parts[1][-1] = ord("X")
    else:
        field.parts[field.data[0]][0] = value
    reader.data.flush()
    return path


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("expert_gating_func", 1, "deepseek2.expert_gating_func = 1: its experts are not those of a GLM model"),
        ("expert_weights_norm", False, "deepseek2.expert_weights_norm = false"),
        ("expert_count", 0, "deepseek2.expert_count is not a whole number from 1"),
        ("expert_used_count", None, "lacks the key deepseek2.expert_used_count"),
        ("attention.q_lora_rank", None, "lacks the key deepseek2.attention.q_lora_rank"),
        ("attention.kv_lora_rank", 0, "deepseek2.attention.kv_lora_rank is not a whole number from 1"),
        ("expert_weights_scale", float("inf"), "deepseek2.expert_weights_scale is not a finite number"),
        ("nextn_predict_layers", 4, "all 4 layers of the file are for prediction"),
    ],
)
def test_a_value_that_is_no_figure_is_named(
    tmp_path: Path, key: str, value: int | float | bool | None, words: str
) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", replace(FLASH, layers=4, extra=1), vocabulary="none")
    with pytest.raises(ModelFileError) as caught:
        read_model_file(changed(path, key, value))
    assert words in caught.value.message
    assert caught.value.message.isprintable()
