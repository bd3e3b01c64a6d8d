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

The architecture "glm4moe" (GLM-4.5-Air) differs: ``post_attention_norm`` stands for ``ffn_norm``; a layer may have
``attn_q_norm`` and ``attn_k_norm`` (key_size); and all layers but the first `experts.dense_layers` have experts, with
f = experts.ffn_size, s = experts.shared_ffn_size:

=====================================  ======================  =========================================================
``blk.N.ffn_gate_inp.weight``          (experts, hidden)       the router
``blk.N.exp_probs_b.bias``             (experts)               optional: added to what it chooses by
``blk.N.ffn_gate_exps.weight``         (experts, f, hidden)    or joined with the next: ``ffn_gate_up_exps``
``blk.N.ffn_up_exps.weight``           (experts, f, hidden)
``blk.N.ffn_down_exps.weight``         (experts, hidden, f)
``blk.N.ffn_gate_shexp.weight``        (s, hidden)             of the expert that all tokens share
``blk.N.ffn_up_shexp.weight``          (s, hidden)
``blk.N.ffn_down_shexp.weight``        (hidden, s)
=====================================  ======================  =========================================================

The architecture "deepseek2" (GLM-4.7-Flash) has such experts, too, ``ffn_norm``, and latent attention. Its queries and
keys hold key_size - rotary_size = p values that are not rotated, and then those that are:

=====================================  ==================================  =============================================
``blk.N.attn_q_a.weight``              (query_rank, hidden)
``blk.N.attn_q_a_norm.weight``         (query_rank)
``blk.N.attn_q_b.weight``              (heads * key_size, query_rank)
``blk.N.attn_kv_a_mqa.weight``         (rank + rotary_size, hidden)        the latent, then the key that all heads share
``blk.N.attn_kv_a_norm.weight``        (rank)
``blk.N.attn_k_b.weight``              (heads, rank, p)
``blk.N.attn_v_b.weight``              (heads, value_size, rank)
=====================================  ==================================  =============================================
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


CacheType = Literal["f16", "q8"]
"""What a number of a key or value takes in the cache: 16 bits, or 8."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor: the file that holds it, ggml's number of its type, its shape, and its place in bytes."""

    path: Path
    type: int
    shape: tuple[int, ...]
    offset: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class LatentFigures:
    """Attention whose keys and values are made of one latent vector of `rank` values, which all heads share."""

    query_rank: int
    """Values of the latent vector that queries are made of."""
    rank: int


@dataclass(frozen=True, slots=True)
class ExpertFigures:
    """Layers of experts: how many there are and how many a token uses, besides the one that all tokens share."""

    count: int
    used: int
    ffn_size: int
    shared_ffn_size: int
    dense_layers: int
    """Layers, the first ones, that have a plain feed-forward network instead."""
    scale: float
    """What the weighted sum of a token's experts is multiplied by."""


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
    """Values of a query or key that the rotary embedding rotates: its first ones, in latent attention its last."""
    rotary_layout: RotaryLayout
    ffn_size: int
    context_length: int
    """Tokens that the model was made for, prompt and answer together."""
    norm_epsilon: float
    rope_theta: float
    tensors: Mapping[str, TensorSpec]
    latent: LatentFigures | None = None
    experts: ExpertFigures | None = None
    cache_type: CacheType = "f16"
    """Chosen by who loads the model, not by its file."""

    @property
    def parameters(self) -> int:
        """The number of weights."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors.values())

    def used_share(self, tensor: str) -> float:
        """The share of a tensor that the pass of one token reads: of experts those that are used, of an embedding that
        is not the output matrix, too, a row.
        """
        if tensor == "token_embd.weight" and "output.weight" in self.tensors:
            return 1 / self.vocab_size
        if self.experts is not None and tensor.endswith("_exps.weight"):
            return self.experts.used / self.experts.count
        return 1.0

    @property
    def used_parameters(self) -> int:
        """The number of weights that the pass of one token reads."""
        return round(sum(self.used_share(name) * math.prod(tensor.shape) for name, tensor in self.tensors.items()))

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
        """Bytes of keys and values that a token takes, with a scale for each key and each value.

        In latent attention these are one latent and one rotated key, which has 16 bits a number in any type.
        """
        width = {"f16": 2, "q8": 1}[self.cache_type]
        if self.latent is not None:
            return self.layers * (width * self.latent.rank + 2 * self.rotary_size + 8)
        return self.layers * self.kv_heads * (width * (self.key_size + self.value_size) + 8)
