"""Folders of models with experts as GGUF: the logits of transformers, the tensors of both, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from chatglm_server.convert.conversion import convert
from chatglm_server.errors import ModelFileError
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import ExpertFigures, LatentFigures, ModelSpec
from tests.convert.folders import write_folder
from tests.convert.test_huggingface import transformers_logits
from tests.decoding.test_gguf_network import least_cosine, logits
from tests.expert_reference import ExpertReference, logits_without_ties

TOKENS = 400
EXPERTS: dict[str, Any] = {
    "moe_intermediate_size": 96,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_shared_experts": 1,
    "routed_scaling_factor": 1.8,
    "n_group": 1,
    "topk_group": 1,
    "rms_norm_eps": 1e-5,
}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "air": ("glm4moe", {"attention_bias": True, "use_qk_norm": True}),
    "air without norms of heads": (
        "glm4moe",
        {"n_shared_experts": 2, "first_k_dense_replace": 0, "num_hidden_layers": 2},
    ),
    "flash": (
        "deepseek2",
        {
            "q_lora_rank": 96,
            "kv_lora_rank": 128,
            "qk_nope_head_dim": 64,
            "qk_rope_head_dim": 32,
            "v_head_dim": 48,
            "num_key_value_heads": 8,
            "head_dim": 32,
        },
    ),
}


@pytest.fixture(scope="module", params=CASES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder, and the model of transformers that it holds."""
    return write(tmp_path_factory.mktemp("models"), request.param)


def write(path: Path, case: str) -> tuple[Path, Any]:
    architecture, figures = CASES[case]
    common = {**EXPERTS, "first_k_dense_replace": 1, "rope_theta": 1e6}
    return path, write_folder(path, architecture, **{**common, **figures})


def converted(folder: Path, out: Path, kind: str = "f32") -> ModelSpec:
    convert(folder, out, kind, 2, lambda size: lambda count: None)
    return read_model_file(out).spec


def test_the_logits_of_transformers(tmp_path: Path, folder: tuple[Path, Any]) -> None:
    """And those of the reference, which chooses the same experts therefore: another choice changes the logits by far
    more. The core's keys and values have 13 bits.
    """
    path, model = folder
    spec = converted(path, tmp_path / "model.gguf")
    ids, reference = logits_without_ties(ExpertReference(spec), TOKENS)
    expected = transformers_logits(model, ids)
    assert least_cosine(reference, expected) >= 0.99999999
    assert least_cosine(logits(spec, ids), expected) >= 0.9999


def test_the_figures(tmp_path: Path) -> None:
    spec = converted(write(tmp_path / "flash", "flash")[0], tmp_path / "flash.gguf")
    assert (spec.architecture, spec.layers, spec.heads, spec.kv_heads) == ("deepseek2", 3, 8, 1)
    assert (spec.key_size, spec.value_size, spec.rotary_size, spec.rotary_layout) == (96, 48, 32, "interleaved")
    assert spec.latent == LatentFigures(query_rank=96, rank=128)
    assert spec.experts == ExpertFigures(8, 3, 96, 96, dense_layers=1, scale=float(np.float32(1.8)))
    assert spec.cache_bytes == 3 * (2 * (128 + 32) + 8)
    spec = converted(write(tmp_path / "air", "air without norms of heads")[0], tmp_path / "air.gguf")
    assert (spec.architecture, spec.latent, spec.rotary_layout) == ("glm4moe", None, "halves")
    assert spec.experts == ExpertFigures(8, 3, 96, 192, dense_layers=0, scale=float(np.float32(1.8)))


def test_layers_for_one_token_more_are_left_out(tmp_path: Path) -> None:
    """Published folders hold such a layer (MTP); its figures say that the model has one less."""
    path, _ = write(tmp_path / "air", "air")
    plain = converted(path, tmp_path / "plain.gguf")
    weights = load_file(path / "model.safetensors")
    weights |= {"model.layers.3.eh_proj.weight": torch.zeros(256, 512), "model.layers.3.enorm.weight": torch.ones(256)}
    save_file(weights, path / "model.safetensors")
    assert converted(path, tmp_path / "more.gguf").tensors.keys() == plain.tensors.keys()


def change(path: Path, values: dict[str, Any]) -> None:
    config = path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | values))


@pytest.mark.parametrize("kinds", [["dense", "sparse", "sparse"], None])
def test_kinds_of_layers(tmp_path: Path, kinds: list[str] | None) -> None:
    path, _ = write(tmp_path / "flash", "flash")
    change(path, {"mlp_layer_types": kinds, "first_k_dense_replace": 1})
    spec = converted(path, tmp_path / "model.gguf")
    assert spec.experts and spec.experts.dense_layers == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_group": 2}, "n_group = 2: can only be converted if it is 1"),
        ({"norm_topk_prob": False}, "norm_topk_prob = False"),
        ({"rope_interleave": False}, "rope_interleave = False"),
        ({"q_lora_rank": None}, "q_lora_rank = None: must be a whole number from 1 to 16384"),
        ({"num_experts_per_tok": 9}, "num_experts_per_tok = 9: there are 8 experts"),
        ({"n_routed_experts": 9}, "the weights lack model.layers.1.mlp.gate.weight|has the shape"),
        ({"mlp_layer_types": ["dense", "sparse"]}, "mlp_layer_types = .* must be a list of 3 kinds"),
        ({"mlp_layer_types": ["sparse", "dense", "sparse"]}, "must be dense layers, and then sparse ones"),
        ({"moe_intermediate_size": 0}, "moe_intermediate_size = 0"),
    ],
)
def test_what_cannot_be_converted_says_why(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    path, _ = write(tmp_path / "flash", "flash")
    change(path, values)
    with pytest.raises(ModelFileError, match=words):
        converted(path, tmp_path / "model.gguf")


def test_an_expert_that_is_missing_is_named(tmp_path: Path) -> None:
    path, _ = write(tmp_path / "air", "air")
    weights = load_file(path / "model.safetensors")
    del weights["model.layers.2.mlp.experts.5.up_proj.weight"]
    save_file(weights, path / "model.safetensors")
    with pytest.raises(ModelFileError, match=r"the weights lack model\.layers\.2\.mlp\.experts\.5\.up_proj\.weight"):
        converted(path, tmp_path / "model.gguf")
