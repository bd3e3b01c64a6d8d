"""A model's config.json: the figures of its network, in the terms of a `ModelSpec`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..errors import ModelFileError
from ..model_files.spec import ModelSpec
from .config_reader import ConfigReader
from .expert_config import expert_figures, latent_spec
from .json_files import read_json, read_json_if_there

_KINDS = {
    "ChatGLMModel": "chatglm",
    "ChatGLMForConditionalGeneration": "chatglm",
    "GlmForCausalLM": "glm",
    "Glm4ForCausalLM": "glm4",
    "Glm4MoeForCausalLM": "glm4_moe",
    "Glm4MoeLiteForCausalLM": "glm4_moe_lite",
}
"""The model classes that can be converted, and their ``model_type``."""


class Config(NamedTuple):
    """`spec` has no tensors. `original` says that the names of the tensors are those of the ChatGLM repositories."""

    spec: ModelSpec
    architecture: str
    """GGUF's name of it."""
    original: bool
    tied: bool
    """The embedding is the output matrix."""
    end_tokens: list[int]


def read_config(folder: Path) -> Config:
    """Raises: ModelFileError for a model of another kind, and for figures that make no sense."""
    path = folder / "config.json"
    values = read_json(path)
    classes = values.get("architectures")
    name = classes[0] if isinstance(classes, list) and classes else None
    if not isinstance(name, str) or name not in _KINDS or values.get("model_type") != _KINDS[name]:
        raise ModelFileError(f"{path}: holds a model of the kind {name!r:.80}; {', '.join(_KINDS)} can be converted")
    if "vision_config" in values:
        raise ModelFileError(f"{path}: holds a model that reads images, which cannot be converted")
    reader = ConfigReader(path, values)
    original = _KINDS[name] == "chatglm"
    spec = _original(reader) if original else _SPECS.get(name, _transformers)(reader)
    if spec.heads % spec.kv_heads:
        raise ModelFileError(f"{path}: says {spec.kv_heads} key/value heads for {spec.heads} heads")
    architecture = "glm4" if name == "Glm4ForCausalLM" else spec.architecture
    tied = values.get("tie_word_embeddings") is True
    return Config(spec, architecture, original, tied, _generation_end_tokens(folder) or reader.tokens("eos_token_id"))


def _generation_end_tokens(folder: Path) -> list[int]:
    """The end tokens that generation_config.json names. Raises: ModelFileError."""
    path = folder / "generation_config.json"
    return ConfigReader(path, read_json_if_there(path)).tokens("eos_token_id")


def _transformers(config: ConfigReader) -> ModelSpec:
    """transformers' `GlmConfig` and `Glm4Config`."""
    config.require("hidden_act", "silu")
    hidden = config.size("hidden_size", "hidden_size")
    heads = config.size("num_attention_heads", "heads")
    head = config.size("head_dim", "head_size")
    theta, share = config.rotary_embedding(share=0.5)
    rotary = int(head * share)
    if not 0 < rotary <= head or rotary % 2:
        raise config.error("partial_rotary_factor", f"must rotate an even number of a head's {head} values")
    return ModelSpec(
        path=config.path,
        architecture="chatglm",
        vocab_size=config.size("vocab_size", "vocab_size"),
        hidden_size=hidden,
        layers=config.size("num_hidden_layers", "layers"),
        heads=heads,
        kv_heads=config.size("num_key_value_heads", "kv_heads"),
        key_size=head,
        value_size=head,
        rotary_size=rotary,
        rotary_layout="interleaved",
        ffn_size=config.size("intermediate_size", "ffn_size"),
        context_length=config.size("max_position_embeddings", "context_length"),
        norm_epsilon=config.number("rms_norm_eps", 1.5625e-07),
        rope_theta=theta,
        tensors={},
    )


def _with_experts(config: ConfigReader) -> ModelSpec:
    """transformers' `Glm4MoeConfig` (GLM-4.5-Air)."""
    dense = _transformers(config)
    experts = expert_figures(config, dense.layers)
    return replace(dense, architecture="glm4moe", rotary_layout="halves", experts=experts)


_SPECS = {"Glm4MoeForCausalLM": _with_experts, "Glm4MoeLiteForCausalLM": latent_spec}
"""How to read the figures of a class, if not as those of GLM-4."""


def _original(config: ConfigReader) -> ModelSpec:
    """`ChatGLMConfig` of the repositories of ChatGLM3 and GLM-4-9B (configuration_chatglm.py)."""
    config.require("rmsnorm", True)
    config.require("post_layer_norm", True)
    config.require("original_rope", True)
    config.require("apply_residual_connection_post_layernorm", False)
    config.require("interleaved_qkv", False)
    config.require("add_bias_linear", False)
    config.require("quantization_bit", 0, None)
    config.require("pre_seq_len", None)
    hidden = config.size("hidden_size", "hidden_size")
    heads = config.size("num_attention_heads", "heads")
    head = config.size("kv_channels", "head_size", hidden // heads)
    shared = config.values.get("multi_query_attention", False)
    if head % 4:
        raise config.error("kv_channels", "must be a multiple of 4, for half of a head is rotated in pairs")
    return ModelSpec(
        path=config.path,
        architecture="chatglm",
        vocab_size=config.size("padded_vocab_size", "vocab_size"),
        hidden_size=hidden,
        layers=config.size("num_layers", "layers"),
        heads=heads,
        kv_heads=config.size("multi_query_group_num", "kv_heads", heads) if shared else heads,
        key_size=head,
        value_size=head,
        rotary_size=head // 2,
        rotary_layout="interleaved",
        ffn_size=config.size("ffn_hidden_size", "ffn_size"),
        context_length=config.size("seq_length", "context_length"),
        norm_epsilon=config.number("layernorm_epsilon", 1e-5),
        rope_theta=10000.0 * config.number("rope_ratio", 1.0),
        tensors={},
    )
