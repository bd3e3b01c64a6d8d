"""The tensors of layers with experts, and of latent attention: Hugging Face's names and GGUF's."""

from __future__ import annotations

from collections.abc import Iterator

from ..model_files.spec import ExpertFigures, LatentFigures, ModelSpec
from .expected_tensors import Expected, alone, keys_and_values, stacked


def expert_tensors(spec: ModelSpec, experts: ExpertFigures, layer: int) -> Iterator[Expected]:
    """The feed-forward network of a layer of `Glm4MoeForCausalLM` or `Glm4MoeLiteForCausalLM`."""
    hidden, ours, theirs = spec.hidden_size, f"blk.{layer}.ffn_", f"model.layers.{layer}.mlp."
    if layer < experts.dense_layers:
        yield from _gated(theirs, ours, "", hidden, spec.ffn_size)
        return
    yield alone(theirs + "gate.weight", ours + "gate_inp.weight", (experts.count, hidden))
    yield alone(theirs + "gate.e_score_correction_bias", f"blk.{layer}.exp_probs_b.bias", (experts.count,))
    shapes = {"gate": (experts.ffn_size, hidden), "up": (experts.ffn_size, hidden), "down": (hidden, experts.ffn_size)}
    for name, shape in shapes.items():
        names = [f"{theirs}experts.{expert}.{name}_proj.weight" for expert in range(experts.count)]
        yield stacked(names, f"{ours}{name}_exps.weight", shape)
    yield from _gated(theirs + "shared_experts.", ours, "_shexp", hidden, experts.shared_ffn_size)


def _gated(theirs: str, ours: str, suffix: str, hidden: int, size: int) -> Iterator[Expected]:
    yield alone(theirs + "gate_proj.weight", f"{ours}gate{suffix}.weight", (size, hidden))
    yield alone(theirs + "up_proj.weight", f"{ours}up{suffix}.weight", (size, hidden))
    yield alone(theirs + "down_proj.weight", f"{ours}down{suffix}.weight", (hidden, size))


def latent_attention_tensors(spec: ModelSpec, latent: LatentFigures, ours: str, theirs: str) -> Iterator[Expected]:
    """The attention of `Glm4MoeLiteForCausalLM`, but for its output."""
    hidden, theirs = spec.hidden_size, theirs + "self_attn."
    queries = spec.heads * spec.key_size
    yield alone(theirs + "q_a_proj.weight", ours + "attn_q_a.weight", (latent.query_rank, hidden))
    yield alone(theirs + "q_a_layernorm.weight", ours + "attn_q_a_norm.weight", (latent.query_rank,))
    yield alone(theirs + "q_b_proj.weight", ours + "attn_q_b.weight", (queries, latent.query_rank))
    joined = (latent.rank + spec.rotary_size, hidden)
    yield alone(theirs + "kv_a_proj_with_mqa.weight", ours + "attn_kv_a_mqa.weight", joined)
    yield alone(theirs + "kv_a_layernorm.weight", ours + "attn_kv_a_norm.weight", (latent.rank,))
    key = spec.key_size - spec.rotary_size
    yield keys_and_values(theirs + "kv_b_proj.weight", ours, spec.heads, key, spec.value_size, latent.rank)
