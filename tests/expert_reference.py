"""The forward pass in NumPy of networks with experts: the architectures "glm4moe" and "deepseek2".

Attention to latents is computed in the expanded form: the keys and values of all heads are made. The core computes the
absorbed one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from chatglm_server.model_files.spec import ModelSpec
from tests.reference import Array, Reference, gated

LEAST_SUM = 2.0**-14
LEAST_MARGIN = 1e-3
"""Of two experts; the 13 bits of cached keys and values may decide between those that are closer."""


def logits_without_ties(reference: ExpertReference, count: int) -> tuple[list[int], Array]:
    """Random tokens, none of which has two experts that are nearly as good as each other, and their logits.

    Where they are, another choice is as right, and changes all logits from there on: the first such token is replaced.
    """
    random = np.random.default_rng(1)
    ids = [int(token) for token in random.integers(0, reference.vocab_size, count)]
    while True:
        logits = reference.logits(ids)
        ties = np.flatnonzero(reference.margins.min(axis=0, initial=1) < LEAST_MARGIN)
        if not len(ties):
            return ids, logits
        ids[ties[0]] = int(random.integers(0, reference.vocab_size))


class ExpertReference(Reference):
    """`choices` are the experts of the last pass, (layers with experts, tokens, used) in the order of their numbers;
    `margins`, (layers, tokens), by how much the last one that was chosen was better than the first that was not.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        assert spec.experts
        self._experts, self._latent = spec.experts, spec.latent
        self._choices: list[npt.NDArray[np.int64]] = []
        self._margins: list[Array] = []

    def logits(self, ids: Sequence[int]) -> Array:
        self._choices.clear()
        self._margins.clear()
        return super().logits(ids)

    @property
    def vocab_size(self) -> int:
        return self._spec.vocab_size

    @property
    def choices(self) -> npt.NDArray[np.int64]:
        return np.array(self._choices)

    @property
    def margins(self) -> Array:
        return np.array(self._margins)

    def _optional_norm(self, name: str, x: Array) -> Array:
        before_experts = self._latent is None and name.endswith("post_attention_norm")
        return x if before_experts else super()._optional_norm(name, x)

    def _feed_forward(self, prefix: str, x: Array) -> Array:
        x = self._norm(prefix + ("post_attention_norm" if self._latent is None else "ffn_norm"), x)
        if f"{prefix}ffn_gate_inp.weight" not in self._weights:
            return self._dense(prefix, x)
        likely = 1 / (1 + np.exp(-self._linear(f"{prefix}ffn_gate_inp", x)))
        ranks = likely + self._weights[f"{prefix}exp_probs_b.bias"]
        order = np.argsort(-ranks, axis=1, kind="stable")
        chosen = np.sort(order[:, : self._experts.used], axis=1)
        best = np.column_stack([-np.sort(-ranks, axis=1), np.full(len(x), -np.inf)])
        self._choices.append(chosen)
        self._margins.append(best[:, self._experts.used - 1] - best[:, self._experts.used])
        shares = np.take_along_axis(likely, chosen, axis=1)
        shares *= self._experts.scale / np.maximum(shares.sum(axis=1, keepdims=True), LEAST_SUM)
        out = self._dense(prefix, x, "_shexp")
        for expert in range(self._experts.count):
            tokens, places = np.nonzero(chosen == expert)
            out[tokens] += shares[tokens, places, None] * self._expert(prefix, expert, x[tokens])
        return out

    def _expert(self, prefix: str, expert: int, x: Array) -> Array:
        if f"{prefix}ffn_gate_up_exps.weight" in self._weights:
            gate, up = np.split(x @ self._weights[f"{prefix}ffn_gate_up_exps.weight"][expert].T, 2, axis=1)
        else:
            gate, up = (x @ self._weights[f"{prefix}ffn_{name}_exps.weight"][expert].T for name in ("gate", "up"))
        made: Array = gated(gate, up) @ self._weights[f"{prefix}ffn_down_exps.weight"][expert].T
        return made

    def _attention(self, prefix: str, x: Array) -> Array:
        if self._latent is None:
            return super()._attention(prefix, x)
        spec, tokens, rank = self._spec, len(x), self._latent.rank
        x = self._norm(prefix + "attn_norm", x)
        query_latent = self._norm(f"{prefix}attn_q_a_norm", self._linear(f"{prefix}attn_q_a", x))
        query = self._linear(f"{prefix}attn_q_b", query_latent).reshape(tokens, spec.heads, spec.key_size)
        down = self._linear(f"{prefix}attn_kv_a_mqa", x)
        latent = self._norm(f"{prefix}attn_kv_a_norm", down[:, :rank])
        plain = spec.key_size - spec.rotary_size
        shared = np.repeat(self._rotate(down[:, None, rank:]), spec.heads, axis=1)
        if f"{prefix}attn_kv_b.weight" in self._weights:
            both = self._weights[f"{prefix}attn_kv_b.weight"].reshape(spec.heads, -1, rank)
            keys, values = both[:, :plain].transpose(0, 2, 1), both[:, plain:]
        else:
            keys, values = (self._weights[f"{prefix}attn_{name}_b.weight"] for name in "kv")
        key = np.concatenate([np.einsum("tr,hrd->thd", latent, keys), shared], axis=2)
        value = np.einsum("tr,hvr->thv", latent, values)
        query = np.concatenate([query[..., :plain], self._rotate(query[..., plain:])], axis=2)
        return self._linear(prefix + "attn_output", self._attend(query, key, value))
