"""A model's config.json: the figures of its network, in the terms of a `ModelSpec`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ModelFileError
from ..model_files.spec import ModelSpec
from .json_files import read_json, read_json_if_there

_LIMITS = {
    "vocab_size": 1 << 20,
    "hidden_size": 1 << 16,
    "layers": 1024,
    "heads": 1024,
    "kv_heads": 1024,
    "head_size": 1 << 12,
    "ffn_size": 1 << 20,
    "context_length": 1 << 24,
}
_KINDS = {
    "ChatGLMModel": "chatglm",
    "ChatGLMForConditionalGeneration": "chatglm",
    "GlmForCausalLM": "glm",
    "Glm4ForCausalLM": "glm4",
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
    if name not in _KINDS or values.get("model_type") != _KINDS[name]:
        raise ModelFileError(f"{path}: holds a model of the kind {name!r:.80}; {', '.join(_KINDS)} can be converted")
    if "vision_config" in values:
        raise ModelFileError(f"{path}: holds a model that reads images, which cannot be converted")
    reader = _Reader(path, values)
    original = _KINDS[name] == "chatglm"
    spec = _original(reader) if original else _transformers(reader)
    if spec.heads % spec.kv_heads:
        raise ModelFileError(f"{path}: says {spec.kv_heads} key/value heads for {spec.heads} heads")
    architecture = "glm4" if name == "Glm4ForCausalLM" else "chatglm"
    tied = values.get("tie_word_embeddings") is True
    return Config(spec, architecture, original, tied, _generation_end_tokens(folder) or reader.tokens("eos_token_id"))


def _generation_end_tokens(folder: Path) -> list[int]:
    """The end tokens that generation_config.json names. Raises: ModelFileError."""
    path = folder / "generation_config.json"
    return _Reader(path, read_json_if_there(path)).tokens("eos_token_id")


class _Reader:
    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self.values = values

    def error(self, name: str, what: str) -> ModelFileError:
        return ModelFileError(f"{self.path}: {name} = {self.values.get(name)!r:.80}: {what}")

    def size(self, name: str, meaning: str, default: int | None = None) -> int:
        value = self.values.get(name, default)
        if value is None:
            value = default
        if type(value) is not int or not 0 < value <= _LIMITS[meaning]:
            raise self.error(name, f"must be a whole number from 1 to {_LIMITS[meaning]}")
        return value

    def number(self, name: str, default: float, values: Mapping[str, Any] | None = None) -> float:
        value = (self.values if values is None else values).get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not (math.isfinite(value) and value > 0):
            raise self.error(name, "must be a number above 0")
        return float(value)

    def tokens(self, name: str) -> list[int]:
        value = self.values.get(name)
        tokens = value if isinstance(value, list) else [] if value is None else [value]
        if not all(type(token) is int and 0 <= token < _LIMITS["vocab_size"] for token in tokens):
            raise self.error(name, "must be a token id, or a list of them")
        return tokens

    def require(self, name: str, *wanted: Any) -> None:
        """The converted network computes only with these values; the first is what a missing one means."""
        if self.values.get(name, wanted[0]) not in wanted:
            raise self.error(name, f"can only be converted if it is {wanted[0]!r}")


def _transformers(config: _Reader) -> ModelSpec:
    """transformers' `GlmConfig` and `Glm4Config`."""
    config.require("hidden_act", "silu")
    hidden = config.size("hidden_size", "hidden_size")
    heads = config.size("num_attention_heads", "heads")
    head = config.size("head_dim", "head_size")
    rope = config.values.get("rope_parameters") or config.values.get("rope_scaling") or {}
    if not isinstance(rope, dict) or rope.get("rope_type", rope.get("type", "default")) != "default":
        raise config.error("rope_parameters" if "rope_parameters" in config.values else "rope_scaling", "not supported")
    theta = config.number("rope_theta", config.number("rope_theta", 10000.0), rope)
    share = config.number("partial_rotary_factor", config.number("partial_rotary_factor", 0.5), rope)
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


def _original(config: _Reader) -> ModelSpec:
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
