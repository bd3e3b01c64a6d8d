"""The contents of a GGUF file that is to be written: metadata and tensors."""

from __future__ import annotations

from dataclasses import dataclass

from ..model_files.spec import ModelSpec
from .gguf_writer import TensorData, Value


@dataclass(frozen=True, slots=True)
class Contents:
    """A model on its way to a file."""

    metadata: dict[str, Value]
    tensors: tuple[TensorData, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        return sum(tensor.nbytes for tensor in self.tensors)


def network_keys(architecture: str, spec: ModelSpec) -> dict[str, Value]:
    """The keys of a network's figures, under the name that GGUF has for its architecture."""
    figures: dict[str, Value] = {
        "vocab_size": spec.vocab_size,
        "context_length": spec.context_length,
        "embedding_length": spec.hidden_size,
        "feed_forward_length": spec.ffn_size,
        "block_count": spec.layers,
        "attention.head_count": spec.heads,
        "attention.head_count_kv": spec.kv_heads,
        "attention.key_length": spec.key_size,
        "attention.value_length": spec.value_size,
        "attention.layer_norm_rms_epsilon": spec.norm_epsilon,
        "rope.dimension_count": spec.rotary_size,
        "rope.freq_base": spec.rope_theta,
    }
    if spec.latent is not None:  # the plain names are the sizes of what is cached
        figures |= {
            "attention.q_lora_rank": spec.latent.query_rank,
            "attention.kv_lora_rank": spec.latent.rank,
            "attention.key_length": spec.latent.rank + spec.rotary_size,
            "attention.value_length": spec.latent.rank,
            "attention.key_length_mla": spec.key_size,
            "attention.value_length_mla": spec.value_size,
        }
    if spec.experts is not None:
        figures |= {
            "leading_dense_block_count": spec.experts.dense_layers,
            "expert_count": spec.experts.count,
            "expert_used_count": spec.experts.used,
            "expert_shared_count": spec.experts.shared_ffn_size // spec.experts.ffn_size,
            "expert_feed_forward_length": spec.experts.ffn_size,
            "expert_weights_scale": spec.experts.scale,
            "expert_weights_norm": True,
            "expert_gating_func": 2,  # sigmoid
        }
    return {f"{architecture}.{name}": value for name, value in figures.items()}
