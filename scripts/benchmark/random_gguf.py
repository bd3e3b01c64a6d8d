"""A GGUF file with the shape of a real model and random weights: it takes the real one's time and memory.

The types of its tensors are those of a real file of that name, too (``chatglm_server/convert/mixes.py``). It has no
vocabulary: both its readers take token ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from chatglm_server.convert.gguf_writer import TensorData, Value, write_gguf
from chatglm_server.convert.mixes import MIXES, tensor_type
from chatglm_server.model_files.weight_types import WEIGHT_TYPES

from .random_weights import random_tensor


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
        hidden, ffn = self.hidden_size, self.ffn_size
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (self.vocab_size, hidden)}
        for layer in range(layers):
            block = f"blk.{layer}."
            shapes[block + "attn_norm.weight"] = (hidden,)
            rows = {"qkv": queries + 2 * keys} if self.joined else {"q": queries, "k": keys, "v": keys}
            for part, count in rows.items():
                shapes[f"{block}attn_{part}.weight"] = (count, hidden)
                if self.bias:
                    shapes[f"{block}attn_{part}.bias"] = (count,)
            shapes[block + "attn_output.weight"] = (hidden, queries)
            if self.architecture == "glm4":
                shapes[block + "post_attention_norm.weight"] = (hidden,)
            shapes[block + "ffn_norm.weight"] = (hidden,)
            shapes[block + "ffn_up.weight"] = (2 * ffn, hidden)
            shapes[block + "ffn_down.weight"] = (hidden, ffn)
            if self.architecture == "glm4":
                shapes[block + "post_ffw_norm.weight"] = (hidden,)
        return shapes | {"output_norm.weight": (hidden,), "output.weight": (self.vocab_size, hidden)}


SHAPES = {
    "chatglm3": Shape("chatglm", 28, 65_024, 32_768, True, True, 1e-5, 1e4),
    "glm-4-9b": Shape("chatglm", 40, 151_552, 131_072, True, True, 1.5625e-7, 5e6),
    "glm-4-9b-0414": Shape("glm4", 40, 151_552, 32_768, False, False, 1e-5, 1e4),
}
"""From the models' ``config.json``; ChatGLM3's context is that of ChatGLM3-6B-32k."""


def random_gguf_size(shape: Shape, layers: int, mix: str) -> int:
    """Bytes of the tensors."""
    return sum(tensor.nbytes for tensor in _tensors(shape, layers, mix, seed=0))


def write_random_gguf(path: Path, shape: Shape, layers: int, mix: str, seed: int = 0) -> None:
    """Writes the file; the same for the same arguments. Raises: OSError."""
    write_gguf(path, shape.metadata(layers), list(_tensors(shape, layers, mix, seed)))


def _tensors(shape: Shape, layers: int, mix: str, seed: int) -> Iterator[TensorData]:
    """Their data are drawn when they are written."""
    random = np.random.Generator(np.random.SFC64(seed))
    for name, size in shape.tensors(layers).items():
        number = tensor_type(
            *(MIXES[mix], name, size),
            layers=layers,
            heads_per_value=shape.heads // shape.kv_heads,
            is_output=name == "output.weight",
        )
        block = WEIGHT_TYPES[number]
        nbytes = prod(size) // block.columns * block.nbytes
        yield TensorData(name, size, number, nbytes, partial(random_tensor, random, name, size, block.name))
