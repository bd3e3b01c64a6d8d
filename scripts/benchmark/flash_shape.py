"""The shape of GLM-4.7-Flash: attention to latent vectors, and experts in all layers but the first."""

from __future__ import annotations

from dataclasses import dataclass

from chatglm_server.convert.gguf_writer import Value

from .shape import Shape


@dataclass(frozen=True)
class FlashShape(Shape):
    """`head_size` is what a query has that is not rotated."""

    kv_heads: int = 1
    rotary_size: int = 64
    value_size: int = 256
    query_rank: int = 768
    rank: int = 512
    experts: int = 64
    used: int = 4
    expert_size: int = 1536

    def metadata(self, layers: int) -> dict[str, Value]:
        figures: dict[str, Value] = {
            "rope.dimension_count": self.rotary_size,
            "attention.q_lora_rank": self.query_rank,
            "attention.kv_lora_rank": self.rank,
            "attention.key_length": self.rank + self.rotary_size,
            "attention.value_length": self.rank,
            "attention.key_length_mla": self.head_size + self.rotary_size,
            "attention.value_length_mla": self.value_size,
            "leading_dense_block_count": 1,
            "expert_count": self.experts,
            "expert_used_count": self.used,
            "expert_shared_count": 1,
            "expert_feed_forward_length": self.expert_size,
            "expert_weights_scale": 1.8,
            "expert_weights_norm": True,
            "expert_gating_func": 2,
        }
        return {**super().metadata(layers), **{f"{self.architecture}.{name}": value for name, value in figures.items()}}

    def layer_tensors(self, layer: int) -> dict[str, tuple[int, ...]]:
        hidden, key = self.hidden_size, self.head_size + self.rotary_size
        return {
            "attn_norm.weight": (hidden,),
            "attn_q_a.weight": (self.query_rank, hidden),
            "attn_q_a_norm.weight": (self.query_rank,),
            "attn_q_b.weight": (self.heads * key, self.query_rank),
            "attn_kv_a_mqa.weight": (self.rank + self.rotary_size, hidden),
            "attn_kv_a_norm.weight": (self.rank,),
            "attn_k_b.weight": (self.heads, self.rank, self.head_size),
            "attn_v_b.weight": (self.heads, self.value_size, self.rank),
            "attn_output.weight": (hidden, self.heads * self.value_size),
            "ffn_norm.weight": (hidden,),
            **(self._experts() if layer else self._gated("", self.ffn_size)),
        }

    def _experts(self) -> dict[str, tuple[int, ...]]:
        size, hidden = self.expert_size, self.hidden_size
        return {
            "ffn_gate_inp.weight": (self.experts, hidden),
            "exp_probs_b.bias": (self.experts,),
            "ffn_gate_exps.weight": (self.experts, size, hidden),
            "ffn_up_exps.weight": (self.experts, size, hidden),
            "ffn_down_exps.weight": (self.experts, hidden, size),
            **self._gated("_shexp", size),
        }

    def _gated(self, suffix: str, size: int) -> dict[str, tuple[int, ...]]:
        return {
            f"ffn_gate{suffix}.weight": (size, self.hidden_size),
            f"ffn_up{suffix}.weight": (size, self.hidden_size),
            f"ffn_down{suffix}.weight": (self.hidden_size, size),
        }
