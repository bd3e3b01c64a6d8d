"""The figures of networks with experts in a model's config.json."""

from __future__ import annotations

from ..model_files.spec import ExpertFigures, LatentFigures, ModelSpec
from .config_reader import ConfigReader


def expert_figures(config: ConfigReader, layers: int) -> ExpertFigures:
    """Of transformers' `Glm4MoeConfig` and `Glm4MoeLiteConfig`. Raises: ModelFileError."""
    config.require("n_group", 1)
    config.require("topk_group", 1)
    config.require("norm_topk_prob", True)
    config.require("topk_method", "noaux_tc")
    count, size = config.size("n_routed_experts", "experts"), config.size("moe_intermediate_size", "ffn_size")
    used = config.size("num_experts_per_tok", "experts")
    if used > count:
        raise config.error("num_experts_per_tok", f"there are {count} experts")
    return ExpertFigures(
        count=count,
        used=used,
        ffn_size=size,
        shared_ffn_size=size * config.size("n_shared_experts", "experts", 1),
        dense_layers=_dense_layers(config, layers),
        scale=config.number("routed_scaling_factor", 1.0),
    )


def _dense_layers(config: ConfigReader, layers: int) -> int:
    """Newer configurations name the kind of each layer."""
    kinds = config.values.get("mlp_layer_types")
    if kinds is None:
        return min(config.count("first_k_dense_replace", "layers", 1), layers)
    if not isinstance(kinds, list) or len(kinds) != layers:
        raise config.error("mlp_layer_types", f"must be a list of {layers} kinds")
    dense = next((place for place, kind in enumerate(kinds) if kind != "dense"), layers)
    if any(kind != "sparse" for kind in kinds[dense:]):
        raise config.error("mlp_layer_types", "must be dense layers, and then sparse ones")
    return dense


def latent_spec(config: ConfigReader) -> ModelSpec:
    """transformers' `Glm4MoeLiteConfig` (GLM-4.7-Flash). Raises: ModelFileError."""
    config.require("hidden_act", "silu")
    config.require("rope_interleave", True)
    theta, _ = config.rotary_embedding(share=1.0)
    layers, rotary = config.size("num_hidden_layers", "layers"), config.size("qk_rope_head_dim", "head_size")
    return ModelSpec(
        path=config.path,
        architecture="deepseek2",
        vocab_size=config.size("vocab_size", "vocab_size"),
        hidden_size=config.size("hidden_size", "hidden_size"),
        layers=layers,
        heads=config.size("num_attention_heads", "heads"),
        kv_heads=1,
        key_size=config.size("qk_nope_head_dim", "head_size") + rotary,
        value_size=config.size("v_head_dim", "head_size"),
        rotary_size=rotary,
        rotary_layout="interleaved",
        ffn_size=config.size("intermediate_size", "ffn_size"),
        context_length=config.size("max_position_embeddings", "context_length"),
        norm_epsilon=config.number("rms_norm_eps", 1e-5),
        rope_theta=theta,
        tensors={},
        latent=LatentFigures(config.size("q_lora_rank", "rank"), config.size("kv_lora_rank", "rank")),
        experts=expert_figures(config, layers),
    )
