"""A plain forward pass in NumPy, float64, of the weights that a model file stands for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from chatglm_server.model_files.chatglm_bin import ModelFile, Tensor
from chatglm_server.model_files.chatglm_bin_layout import BLOCK, DType

Array = npt.NDArray[np.float64]


def decode(tensor: Tensor, data: bytes) -> Array:
    """The numbers of a tensor, in its shape."""
    if tensor.type in (DType.F32, DType.F16):
        kind = "<f4" if tensor.type == DType.F32 else "<f2"
        return np.frombuffer(data, kind).astype(np.float64).reshape(tensor.shape)
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK[tensor.type][1])
    scale = blocks[:, :2].copy().view("<f2").astype(np.float64)
    if tensor.type == DType.Q8_0:
        scaled: Array = scale * blocks[:, 2:].view(np.int8)
        return scaled.reshape(tensor.shape)
    affine = tensor.type in (DType.Q4_1, DType.Q5_1)
    minimum = blocks[:, 2:4].copy().view("<f2").astype(np.float64) if affine else 0.0
    nibbles = blocks[:, -16:]
    codes = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float64)
    if tensor.type in (DType.Q5_0, DType.Q5_1):
        start = 4 if affine else 2
        codes += 16 * np.unpackbits(blocks[:, start : start + 4], axis=1, bitorder="little")
    zero = {DType.Q4_0: 8, DType.Q5_0: 16}.get(tensor.type, 0)
    values: Array = scale * (codes - zero) + minimum
    return values.reshape(tensor.shape)


class Reference:
    """ChatGLM2, ChatGLM3 or GLM-4, as arXiv 2406.12793 and chatglm.cpp describe the network."""

    def __init__(self, file: ModelFile) -> None:
        self.header = file.header
        with file.path.open("rb") as data:
            self.weights: dict[str, Array] = {}
            for tensor in file.tensors:
                data.seek(tensor.offset)
                self.weights[tensor.name] = decode(tensor, data.read(tensor.nbytes))

    def logits(self, ids: Sequence[int]) -> Array:
        """(tokens, vocab): what follows each token."""
        head = self.header
        x = self.weights["transformer.embedding.word_embeddings.weight"][list(ids)]
        for layer in range(head.num_hidden_layers):
            prefix = f"transformer.encoder.layers.{layer}."
            w = {name.removeprefix(prefix): value for name, value in self.weights.items() if name.startswith(prefix)}
            x = x + self._attention(self._norm(x, w["input_layernorm.weight"]), w)
            wide = self._norm(x, w["post_attention_layernorm.weight"]) @ w["mlp.dense_h_to_4h.weight"].T
            gate, up = np.split(wide, 2, axis=1)
            x = x + (gate / (1 + np.exp(-gate)) * up) @ w["mlp.dense_4h_to_h.weight"].T
        normed = self._norm(x, self.weights["transformer.encoder.final_layernorm.weight"])
        logits: Array = normed @ self.weights["transformer.output_layer.weight"].T
        return logits

    def _norm(self, x: Array, weight: Array) -> Array:
        made: Array = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + self.header.norm_eps) * weight
        return made

    def _attention(self, x: Array, w: dict[str, Array]) -> Array:
        heads, kv_heads = self.header.num_attention_heads, self.header.num_key_value_heads
        size, tokens = self.header.hidden_size // heads, len(x)
        qkv = x @ w["self_attention.query_key_value.weight"].T + w["self_attention.query_key_value.bias"]
        parts = qkv.reshape(tokens, -1, size)
        query, key, value = np.split(parts, [heads, heads + kv_heads], axis=1)
        query, key = self._rotate(query), self._rotate(key)
        mask = np.triu(np.full((tokens, tokens), -np.inf), 1)
        mixed = np.empty((tokens, heads, size))
        for index in range(heads):
            shared = index // (heads // kv_heads)
            scores = query[:, index] @ key[:, shared].T / np.sqrt(size) + mask
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed[:, index] = weights / weights.sum(axis=1, keepdims=True) @ value[:, shared]
        attended: Array = mixed.reshape(tokens, -1) @ w["self_attention.dense.weight"].T
        return attended

    def _rotate(self, x: Array) -> Array:
        """Rotary embedding of neighbouring pairs in the first half of each head."""
        rotated = x.shape[2] // 2
        angles = np.outer(np.arange(len(x)), self.header.rope_theta ** (-np.arange(0, rotated, 2) / rotated))
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        even, odd = x[:, :, 0:rotated:2], x[:, :, 1:rotated:2]
        turned = np.stack([even * cos - odd * sin, odd * cos + even * sin], axis=3).reshape(*x.shape[:2], rotated)
        return np.concatenate([turned, x[:, :, rotated:]], axis=2)
