"""The contents of a model file, whatever its container: the network's figures, and the place of each tensor.

A reader of a container makes a `ModelSpec`; the compute core (``chatglm_server/native``) takes nothing else, and checks
all of it again. Tensors have GGUF's names, in full, and shapes with the rows first. The architecture "chatglm"
(ChatGLM2, ChatGLM3, GLM-4) has these, with q = heads * key_size, k = kv_heads * key_size, v = kv_heads * value_size:

===================================  ======================  ===========================================================
``token_embd.weight``                (vocab, hidden)
``output_norm.weight``               (hidden)                norms and biases are float32
``output.weight``                    (vocab, hidden)         absent: the embedding is the output matrix
``blk.N.attn_norm.weight``           (hidden)
``blk.N.attn_qkv.weight``            (q + k + v, hidden)     or apart: ``attn_q``, ``attn_k``, ``attn_v``
``blk.N.attn_output.weight``         (hidden, heads * value)
``blk.N.post_attention_norm.weight`` (hidden)                optional: of what attention gives, before it is added
``blk.N.ffn_norm.weight``            (hidden)
``blk.N.ffn_up.weight``              (2 * ffn, hidden)       the gate's rows first; or apart: ``ffn_gate``, ``ffn_up``
``blk.N.ffn_down.weight``            (hidden, ffn)
``blk.N.post_ffw_norm.weight``       (hidden)                optional, as after attention
===================================  ======================  ===========================================================

Each matrix of a layer may have a ``.bias`` (rows). So optional parts are there if their tensors are.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .weight_types import WEIGHT_TYPES

RotaryLayout = Literal["interleaved", "halves"]
"""The values of a head that are rotated together: (0, 1), (2, 3) …, or (0, n), (1, n + 1) … with n of half the size."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: the file that holds it, ggml's number of its type, its shape, and its place in bytes."""

    path: Path
    type: int
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A network and its weights. `path` is the file that the user named; tensors may lie in others, too."""

    path: Path
    architecture: str
    vocab_size: int
    hidden_size: int
    layers: int
    heads: int
    kv_heads: int
    key_size: int
    """Values of a query or key of one head."""
    value_size: int
    rotary_size: int
    """Values of a query or key, from its first on, that the rotary embedding rotates."""
    rotary_layout: RotaryLayout
    ffn_size: int
    context_length: int
    """Tokens that the model was made for, prompt and answer together."""
    norm_epsilon: float
    rope_theta: float
    tensors: Mapping[str, TensorSpec]

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    @property
    def bytes_by_type(self) -> dict[str, int]:
        """Bytes of the tensors of each type, the largest share first."""
        shares = Counter[str]()
        for tensor in self.tensors.values():
            shares[WEIGHT_TYPES[tensor.type].name] += tensor.nbytes
        return dict(shares.most_common())

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors in their files."""
        return sum(tensor.nbytes for tensor in self.tensors.values())

    @property
    def cache_bytes(self) -> int:
        """Bytes of keys and values that a token takes: 16 bits each, and a scale for each key and each value."""
        return self.layers * self.kv_heads * (2 * (self.key_size + self.value_size) + 8)
