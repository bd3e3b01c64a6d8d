"""A plain forward pass in NumPy, float64, of the weights that a `ModelSpec` stands for."""

from __future__ import annotations

from collections.abc import Sequence

import gguf
import numpy as np
import numpy.typing as npt

from chatglm_server.model_files.chatglm_bin_layout import BLOCK, DType
from chatglm_server.model_files.spec import ModelSpec

Array = npt.NDArray[np.float64]


def decode(kind: int, shape: tuple[int, ...], data: bytes) -> Array:
    """The numbers of a tensor of ggml's type `kind`, in its shape."""
    if kind in (DType.F32, DType.F16):
        return np.frombuffer(data, "<f4" if kind == DType.F32 else "<f2").astype(np.float64).reshape(shape)
    if kind not in set(DType):
        rows = np.frombuffer(data, np.uint8).reshape(shape[0], -1)
        return gguf.dequantize(rows, gguf.GGMLQuantizationType(kind)).astype(np.float64).reshape(shape)
    blocks = np.frombuffer(data, np.uint8).reshape(-1, BLOCK[DType(kind)][1])
    scale = blocks[:, :2].copy().view("<f2").astype(np.float64)
    if kind == DType.Q8_0:
        scaled: Array = scale * blocks[:, 2:].view(np.int8)
        return scaled.reshape(shape)
    affine = kind in (DType.Q4_1, DType.Q5_1)
    minimum = blocks[:, 2:4].copy().view("<f2").astype(np.float64) if affine else 0.0
    nibbles = blocks[:, -16:]
    codes = np.concatenate([nibbles & 15, nibbles >> 4], axis=1).astype(np.float64)
    if kind in (DType.Q5_0, DType.Q5_1):
        start = 4 if affine else 2
        codes += 16 * np.unpackbits(blocks[:, start : start + 4], axis=1, bitorder="little")
    zero = {DType.Q4_0: 8, DType.Q5_0: 16}.get(DType(kind), 0)
    values: Array = scale * (codes - zero) + minimum
    return values.reshape(shape)


def gated(gate: Array, up: Array) -> Array:
    """silu(gate) * up."""
    made: Array = gate / (1 + np.exp(-gate)) * up
    return made


class Reference:
    """The architecture "chatglm", as arXiv 2406.12793, chatglm.cpp and ``model_files/spec.py`` describe it."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._weights: dict[str, Array] = {}
        for name, tensor in spec.tensors.items():
            with tensor.path.open("rb") as data:
                data.seek(tensor.offset)
                self._weights[name] = decode(tensor.type, tensor.shape, data.read(tensor.nbytes))

    def logits(self, ids: Sequence[int]) -> Array:
        """(tokens, vocab): what follows each token."""
        embedding = self._weights["token_embd.weight"]
        x = embedding[list(ids)]
        for layer in range(self._spec.layers):
            prefix = f"blk.{layer}."
            x = x + self._optional_norm(prefix + "post_attention_norm", self._attention(prefix, x))
            x = x + self._optional_norm(prefix + "post_ffw_norm", self._feed_forward(prefix, x))
        logits: Array = self._norm("output_norm", x) @ self._weights.get("output.weight", embedding).T
        return logits

    def _linear(self, name: str, x: Array) -> Array:
        made: Array = x @ self._weights[name + ".weight"].T + self._weights.get(name + ".bias", 0.0)
        return made

    def _norm(self, name: str, x: Array) -> Array:
        scale = np.sqrt((x * x).mean(axis=-1, keepdims=True) + self._spec.norm_epsilon)
        made: Array = x / scale * self._weights[name + ".weight"]
        return made

    def _optional_norm(self, name: str, x: Array) -> Array:
        return self._norm(name, x) if name + ".weight" in self._weights else x

    def _feed_forward(self, prefix: str, x: Array) -> Array:
        return self._dense(prefix, self._norm(prefix + "ffn_norm", x))

    def _dense(self, prefix: str, x: Array, suffix: str = "") -> Array:
        up = self._linear(f"{prefix}ffn_up{suffix}", x)
        if f"{prefix}ffn_gate{suffix}.weight" in self._weights:
            gate = self._linear(f"{prefix}ffn_gate{suffix}", x)
        else:
            gate, up = np.split(up, 2, axis=1)
        return self._linear(f"{prefix}ffn_down{suffix}", gated(gate, up))

    def _attention(self, prefix: str, x: Array) -> Array:
        spec, tokens = self._spec, len(x)
        x = self._norm(prefix + "attn_norm", x)
        if prefix + "attn_qkv.weight" in self._weights:
            sizes = [spec.heads * spec.key_size, spec.kv_heads * spec.key_size]
            parts = np.split(self._linear(prefix + "attn_qkv", x), np.cumsum(sizes), axis=1)
        else:
            parts = [self._linear(prefix + name, x) for name in ("attn_q", "attn_k", "attn_v")]
        query = parts[0].reshape(tokens, spec.heads, spec.key_size)
        key = parts[1].reshape(tokens, spec.kv_heads, spec.key_size)
        value = parts[2].reshape(tokens, spec.kv_heads, spec.value_size)
        query = self._rotate(self._optional_norm(prefix + "attn_q_norm", query))
        key = self._rotate(self._optional_norm(prefix + "attn_k_norm", key))
        return self._linear(prefix + "attn_output", self._attend(query, key, value))

    def _attend(self, query: Array, key: Array, value: Array) -> Array:
        """(tokens, heads * value): causal attention of (tokens, heads, size) to keys and values of fewer heads."""
        tokens, heads, size = query.shape
        mask = np.triu(np.full((tokens, tokens), -np.inf), 1)
        mixed = np.empty((tokens, heads, value.shape[2]))
        for index in range(heads):
            shared = index // (heads // key.shape[1])
            scores = query[:, index] @ key[:, shared].T / np.sqrt(size) + mask
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed[:, index] = weights / weights.sum(axis=1, keepdims=True) @ value[:, shared]
        return mixed.reshape(tokens, -1)

    def _rotate(self, x: Array) -> Array:
        """Rotary embedding of the first `rotary_size` values of each head."""
        size = self._spec.rotary_size
        angles = np.outer(np.arange(len(x)), self._spec.rope_theta ** (-np.arange(0, size, 2) / size))
        turn = np.exp(1j * angles)[:, None]
        made: Array = x.copy()
        if self._spec.rotary_layout == "interleaved":
            first, second = slice(0, size, 2), slice(1, size, 2)
        else:
            first, second = slice(0, size // 2), slice(size // 2, size)
        turned = (x[:, :, first] + 1j * x[:, :, second]) * turn
        made[:, :, first], made[:, :, second] = turned.real, turned.imag
        return made
