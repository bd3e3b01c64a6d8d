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
    return {f"{architecture}.{name}": value for name, value in figures.items()}
