"""The network of ChatGLM2, ChatGLM3 and GLM-4 in PyTorch, with the tensor names and shapes of a chatglm.cpp file.

Facts from chatglm.cpp 0.4.2: pre-norm with RMSNorm, one matrix for queries, keys and values with a bias, groups of
query heads that share a key/value head, rotary embedding of neighbouring pairs in the first half of each head, SwiGLU
with the gate in the first half of `dense_h_to_4h`, and an output layer of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """Sizes of the network. A head has `hidden / heads` channels."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    epsilon: float = 1e-5
    theta: float = 10000.0

    @property
    def parameters(self) -> int:
        """How many weights the network has."""
        head = self.hidden // self.heads
        qkv = (self.hidden + 1) * (self.hidden + 2 * head * self.kv_heads)
        layer = qkv + self.hidden * (self.hidden + 3 * self.ffn + 2)
        return self.layers * layer + 2 * self.vocab * self.hidden + self.hidden


def rotation(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines, (length, head / 4): one angle for each pair of the rotated half."""
    rotated = shape.hidden // shape.heads // 2
    frequencies = shape.theta ** (-torch.arange(0, rotated, 2).float() / rotated)
    angles = torch.outer(torch.arange(length).float(), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns the pairs (0, 1), (2, 3), … of the first half of each head; x is (batch, heads, length, head)."""
    half = x.shape[-1] // 2
    turned, kept = x[..., :half], x[..., half:]
    even, odd = turned[..., 0::2], turned[..., 1::2]
    pairs = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return torch.cat((pairs.flatten(-2).to(x.dtype), kept), dim=-1)


class Norm(nn.Module):
    """RMSNorm."""

    def __init__(self, size: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), (x.shape[-1],), self.weight, self.epsilon)


class Block(nn.Module):
    """One layer: attention and a gated feed-forward network."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.head = shape.hidden // shape.heads
        self.input_layernorm = Norm(shape.hidden, shape.epsilon)
        self.query_key_value = nn.Linear(shape.hidden, shape.hidden + 2 * self.head * shape.kv_heads)
        self.dense = nn.Linear(shape.hidden, shape.hidden, bias=False)
        self.post_attention_layernorm = Norm(shape.hidden, shape.epsilon)
        self.dense_h_to_4h = nn.Linear(shape.hidden, 2 * shape.ffn, bias=False)
        self.dense_4h_to_h = nn.Linear(shape.ffn, shape.hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor) -> Tensor:
        """x is (batch, length, hidden); the mask (length, length) is added to the scores."""
        shape = self.shape
        sizes = (shape.hidden, self.head * shape.kv_heads, self.head * shape.kv_heads)
        parts = self.query_key_value(self.input_layernorm(x)).split(sizes, dim=-1)
        query, key, value = (part.unflatten(-1, (-1, self.head)).transpose(1, 2) for part in parts)
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        group = shape.heads // shape.kv_heads
        key, value = key.repeat_interleave(group, dim=1), value.repeat_interleave(group, dim=1)
        scores = query @ key.transpose(-1, -2) * self.head**-0.5 + mask
        mixed = functional.softmax(scores, dim=-1, dtype=scores.dtype) @ value
        x = x + self.dense(mixed.transpose(1, 2).flatten(2))
        gate, up = self.dense_h_to_4h(self.post_attention_layernorm(x)).chunk(2, dim=-1)
        out: Tensor = x + self.dense_4h_to_h(functional.silu(gate) * up)
        return out


class Network(nn.Module):
    """The whole model."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.word_embeddings = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.final_layernorm = Norm(shape.hidden, shape.epsilon)
        self.output_layer = nn.Linear(shape.hidden, shape.vocab, bias=False)
        nn.init.normal_(self.word_embeddings.weight, std=0.5)
        nn.init.normal_(self.output_layer.weight, std=0.02)
        for block in self.layers:
            assert isinstance(block, Block)
            nn.init.zeros_(block.query_key_value.bias)
            nn.init.zeros_(block.dense.weight)
            nn.init.zeros_(block.dense_4h_to_h.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Normed hidden states, (batch, length, hidden), of token ids, (batch, length)."""
        cos, sin = rotation(self.shape, ids.shape[1])
        x = self.word_embeddings(ids)
        kind = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        mask = torch.full((ids.shape[1],) * 2, -torch.inf, dtype=kind).triu(1)
        for block in self.layers:
            x = block(x, cos, sin, mask)
        normed: Tensor = self.final_layernorm(x)
        return normed

    def tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """The weights under their names in a chatglm.cpp file."""
        inside = {
            "query_key_value": "self_attention",
            "dense": "self_attention",
            "dense_h_to_4h": "mlp",
            "dense_4h_to_h": "mlp",
        }
        found: dict[str, npt.NDArray[np.float32]] = {}
        for name, value in self.state_dict().items():
            parts = name.split(".")
            if parts[0] == "layers":
                parts = ["encoder", *parts[:2], *([inside[parts[2]]] if parts[2] in inside else []), *parts[2:]]
            elif parts[0] == "final_layernorm":
                parts = ["encoder", *parts]
            elif parts[0] == "word_embeddings":
                parts = ["embedding", *parts]
            found["transformer." + ".".join(parts)] = value.float().numpy()
        return found
