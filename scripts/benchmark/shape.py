"""The shape of a network: its figures as metadata, and the sizes of its tensors, by GGUF's names."""

from __future__ import annotations

from dataclasses import dataclass

from chatglm_server.convert.gguf_writer import Value


@dataclass(frozen=True)
class Shape:
    """The figures of a network, by the names of `ModelSpec`. `joined` queries, keys and values are one matrix."""

    architecture: str
    layers: int
    vocab_size: int
    context_length: int
    joined: bool
    bias: bool
    norm_epsilon: float
    rope_theta: float
    hidden_size: int = 4096
    heads: int = 32
    kv_heads: int = 2
    head_size: int = 128
    ffn_size: int = 13696

    def metadata(self, layers: int) -> dict[str, Value]:
        """What a reader has to know, by GGUF's keys."""
        pairs: dict[str, Value] = {
            "block_count": layers,
            "context_length": self.context_length,
            "embedding_length": self.hidden_size,
            "feed_forward_length": self.ffn_size,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.key_length": self.head_size,
            "attention.value_length": self.head_size,
            "attention.layer_norm_rms_epsilon": self.norm_epsilon,
            "rope.dimension_count": self.head_size // 2,
            "rope.freq_base": self.rope_theta,
            "vocab_size": self.vocab_size,
        }
        return {
            "general.architecture": self.architecture,
            **{f"{self.architecture}.{key}": value for key, value in pairs.items()},
            "tokenizer.ggml.model": "none",
        }

    def tensors(self, layers: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes, rows first."""
        shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (self.vocab_size, self.hidden_size)}
        for layer in range(layers):
            shapes |= {f"blk.{layer}.{name}": shape for name, shape in self.layer_tensors(layer).items()}
        return shapes | {
            "output_norm.weight": (self.hidden_size,),
            "output.weight": (self.vocab_size, self.hidden_size),
        }

    def layer_tensors(self, layer: int) -> dict[str, tuple[int, ...]]:
        """The same of a layer."""
        hidden, ffn = self.hidden_size, self.ffn_size
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        shapes: dict[str, tuple[int, ...]] = {"attn_norm.weight": (hidden,)}
        rows = {"qkv": queries + 2 * keys} if self.joined else {"q": queries, "k": keys, "v": keys}
        for part, count in rows.items():
            shapes[f"attn_{part}.weight"] = (count, hidden)
            if self.bias:
                shapes[f"attn_{part}.bias"] = (count,)
        shapes["attn_output.weight"] = (hidden, queries)
        if self.architecture == "glm4":
            shapes["post_attention_norm.weight"] = (hidden,)
        shapes["ffn_norm.weight"] = (hidden,)
        shapes["ffn_up.weight"] = (2 * ffn, hidden)
        shapes["ffn_down.weight"] = (hidden, ffn)
        if self.architecture == "glm4":
            shapes["post_ffw_norm.weight"] = (hidden,)
        return shapes
