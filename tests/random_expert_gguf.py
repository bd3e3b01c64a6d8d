"""Shapes of small GGUF files of models with experts: GLM-4.5-Air and GLM-4.7-Flash."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gguf

from tests.random_gguf import Shape


@dataclass(frozen=True)
class ExpertShape(Shape):
    """As GLM-4.5-Air. The last `extra` layers predict a token more; `extra_tensors` says whether the file has them."""

    architecture: str = "glm4moe"
    layers: int = 3
    biases: bool = True
    head_norms: bool = True
    """Norms of each query and key."""
    dense_layers: int = 1
    experts: int = 8
    used: int = 3
    expert_ffn: int = 256
    shared: int = 1
    scale: float = 1.8
    joined_experts: bool = False
    """Gate and up of the experts in one tensor."""
    gating: int | None = 2
    extra: int = 0
    extra_tensors: bool = True

    def add_figures(self, writer: gguf.GGUFWriter) -> None:
        super().add_figures(writer)
        writer.add_leading_dense_block_count(self.dense_layers)
        writer.add_expert_count(self.experts)
        writer.add_expert_used_count(self.used)
        writer.add_expert_shared_count(self.shared)
        writer.add_expert_feed_forward_length(self.expert_ffn)
        writer.add_expert_weights_scale(self.scale)
        writer.add_expert_weights_norm(True)
        if self.gating is not None:
            writer.add_uint32(f"{self.architecture}.expert_gating_func", self.gating)
        if self.extra:
            writer.add_nextn_predict_layers(self.extra)

    def tensors(self, tokens: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "token_embd.weight", (tokens, self.hidden)
        for layer in range(self.layers if self.extra_tensors else self.layers - self.extra):
            prefix = f"blk.{layer}."
            yield f"{prefix}attn_norm.weight", (self.hidden,)
            yield from ((prefix + name, size) for name, size in self.attention_tensors())
            yield f"{prefix}{self.ffn_norm}.weight", (self.hidden,)
            layout = self.dense_tensors() if layer < self.dense_layers else self.expert_tensors()
            yield from ((prefix + name, size) for name, size in layout)
            if layer >= self.layers - self.extra:
                yield f"{prefix}nextn.eh_proj.weight", (self.hidden, 2 * self.hidden)
                yield f"{prefix}nextn.enorm.weight", (self.hidden,)
                yield f"{prefix}nextn.hnorm.weight", (self.hidden,)
        yield "output_norm.weight", (self.hidden,)
        yield "output.weight", (tokens, self.hidden)

    @property
    def ffn_norm(self) -> str:
        return "post_attention_norm"

    def attention_tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        rows = {"q": self.heads * self.head_size, "k": self.kv_heads * self.head_size}
        for name, count in {**rows, "v": rows["k"]}.items():
            yield f"attn_{name}.weight", (count, self.hidden)
            if self.biases:
                yield f"attn_{name}.bias", (count,)
        if self.head_norms:
            yield "attn_q_norm.weight", (self.head_size,)
            yield "attn_k_norm.weight", (self.head_size,)
        yield "attn_output.weight", (self.hidden, rows["q"])

    def dense_tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "ffn_gate.weight", (self.ffn, self.hidden)
        yield "ffn_up.weight", (self.ffn, self.hidden)
        yield "ffn_down.weight", (self.hidden, self.ffn)

    def expert_tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "ffn_gate_inp.weight", (self.experts, self.hidden)
        yield "exp_probs_b.bias", (self.experts,)
        if self.joined_experts:
            yield "ffn_gate_up_exps.weight", (self.experts, 2 * self.expert_ffn, self.hidden)
        else:
            yield "ffn_gate_exps.weight", (self.experts, self.expert_ffn, self.hidden)
            yield "ffn_up_exps.weight", (self.experts, self.expert_ffn, self.hidden)
        yield "ffn_down_exps.weight", (self.experts, self.hidden, self.expert_ffn)
        shared = self.shared * self.expert_ffn
        yield "ffn_gate_shexp.weight", (shared, self.hidden)
        yield "ffn_up_shexp.weight", (shared, self.hidden)
        yield "ffn_down_shexp.weight", (self.hidden, shared)


@dataclass(frozen=True)
class LatentShape(ExpertShape):
    """As GLM-4.7-Flash. `head_size` is what queries and keys have that is not rotated."""

    architecture: str = "deepseek2"
    head_size: int = 64
    rotary: int = 32
    value: int = 96
    query_rank: int = 256
    rank: int = 256
    joined_keys_values: bool = False
    """Old files: attn_kv_b instead of attn_k_b and attn_v_b."""

    def add_figures(self, writer: gguf.GGUFWriter) -> None:
        super().add_figures(writer)
        for name, value in self.latent_figures().items():
            key = f"{self.architecture}.{name}"
            for data in writer.kv_data:
                data.pop(key, None)
            writer.add_uint32(key, value)

    def latent_figures(self) -> dict[str, int]:
        key = self.head_size + self.rotary
        figures = {
            "attention.q_lora_rank": self.query_rank,
            "attention.kv_lora_rank": self.rank,
            "rope.dimension_count": self.rotary,
        }
        if self.joined_keys_values:
            whole = {"head_count_kv": self.heads, "key_length": key, "value_length": self.value}
        else:
            whole = {"head_count_kv": 1, "key_length": self.rank + self.rotary, "value_length": self.rank}
            whole |= {"key_length_mla": key, "value_length_mla": self.value}
        return figures | {f"attention.{name}": value for name, value in whole.items()}

    @property
    def ffn_norm(self) -> str:
        return "ffn_norm"

    def attention_tensors(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "attn_q_a.weight", (self.query_rank, self.hidden)
        yield "attn_q_a_norm.weight", (self.query_rank,)
        yield "attn_q_b.weight", (self.heads * (self.head_size + self.rotary), self.query_rank)
        yield "attn_kv_a_mqa.weight", (self.rank + self.rotary, self.hidden)
        yield "attn_kv_a_norm.weight", (self.rank,)
        if self.joined_keys_values:
            yield "attn_kv_b.weight", (self.heads * (self.head_size + self.value), self.rank)
        else:
            yield "attn_k_b.weight", (self.heads, self.rank, self.head_size)
            yield "attn_v_b.weight", (self.heads, self.value, self.rank)
        yield "attn_output.weight", (self.hidden, self.heads * self.value)


AIR = ExpertShape()
FLASH = LatentShape()
