"""The model backend chatglm_cpp, at token level.

Its binding computes one sequence and holds Python's GIL during a forward pass. It reads a prompt in one pass only from
position 0, and then cannot be interrupted; so here every token is read by a pass of its own. That costs a prompt about
a fifth of its speed (the binding multiplies row by row anyway), and in return a request can be cancelled, and the
server answers, between any two tokens; and a token's result is the same whether its prefix was cached or not.

Its top_p keeps the right tokens, but then draws too evenly among them: it takes the softmax of what are probabilities
already (``generate_next_token`` after ``sampling_top_p``). Without top_p the draw is right, so that is the default.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..chat import SamplingParams
from ..errors import ModelFailure, ModelFileError

_BOOST = 1e-6
_LEAST = 1e-3  # of temperature and top_p: less overflows the binding's float32, or turns into 0, which it reads as off


class ChatGLMCppModel:
    """One sequence on a chatglm_cpp pipeline. `bidirectional` is for ChatGLM-6B, whose prompt attends both ways."""

    def __init__(self, path: Path, context_length: int, *, bidirectional: bool) -> None:
        """Raises: ModelFileError. The file must have been checked: the binding trusts it."""
        import chatglm_cpp._C as binding

        self._binding = binding
        self._greedy = binding.GenerationConfig(do_sample=False)
        try:
            self._pipeline = binding.Pipeline(str(path), context_length)
            self._reserve_compute_buffer(context_length)
        except (RuntimeError, IndexError, ValueError) as error:
            raise ModelFileError(f"{path}: chatglm_cpp cannot load the file: {_first_line(error)}") from None
        self._bidirectional = bidirectional
        self.vocab_size = int(self._pipeline.model.config.vocab_size)
        self._ids: list[int] = []
        self._past = 0  # tokens of the sequence whose keys and values are in the cache
        self._prompt_length = 0

    def _reserve_compute_buffer(self, context_length: int) -> None:
        """Have the binding allocate now all that a token at the end of the context will need.

        Where its buffer has to grow from one token to the next it overruns the heap ("double free or corruption" after
        a few hundred tokens). A pass over a few tokens at once takes more than any later one: its activations, of two
        ffn widths a token, outweigh the attention scores of one token over the whole context.
        """
        config = self._pipeline.model.config
        scores = 2 * config.num_attention_heads * context_length
        tokens = min(context_length, scores // (2 * config.intermediate_size) + 16)
        self._pipeline.model.generate_next_token([0] * tokens, None, self._greedy, 0, tokens)

    def start(self, prompt: Sequence[int]) -> int:
        cached = 0
        if not self._bidirectional:
            limit = min(self._past, len(prompt) - 1)
            while cached < limit and self._ids[cached] == prompt[cached]:
                cached += 1
        self._ids, self._past, self._prompt_length = list(prompt), cached, len(prompt)
        return cached

    def prefill(self) -> bool:
        if self._bidirectional and self._past == 0:
            return True  # one pass over the whole prompt, in `step`
        if self._past < len(self._ids) - 1:
            self._forward(self._ids[: self._past + 1], self._greedy)
        return self._past >= len(self._ids) - 1

    def step(self, sampling: SamplingParams) -> int:
        config = self._binding.GenerationConfig(
            do_sample=sampling.temperature >= _LEAST,
            temperature=sampling.temperature,
            top_p=max(sampling.top_p, _LEAST),
            top_k=sampling.top_k,
            repetition_penalty=sampling.repetition_penalty,
        )
        token = self._forward(self._ids, config)
        self._ids.append(token)
        return token

    def choose(self, allowed: Sequence[int]) -> int:
        # The binding gives no logits. But it computes only the last of the ids it is given: the others are just what
        # its repetition penalty applies to. With the allowed tokens in their place and a penalty far below 1, their
        # logits are multiplied by its inverse, and the likeliest of them wins if its logit is positive. If none of them
        # has such a logit, and some other token has, the first allowed one is taken.
        history = (list(allowed) * (self._past // len(allowed) + 1))[: self._past]
        boost = self._binding.GenerationConfig(do_sample=False, repetition_penalty=_BOOST)
        token = self._forward([*history, self._ids[-1]], boost)
        if token not in allowed:
            token = allowed[0]
        self._ids.append(token)
        return token

    def append(self, tokens: Sequence[int]) -> None:
        self._ids += tokens

    def _forward(self, ids: list[int], config: Any) -> int:
        try:
            token = self._pipeline.model.generate_next_token(ids, None, config, self._past, self._prompt_length)
        except RuntimeError as error:  # logits that are no numbers: broken weights
            raise ModelFailure(f"chatglm_cpp failed: {_first_line(error)}") from None
        self._past = len(ids)
        return int(token)


def limit_threads(threads: int) -> None:
    """Let the calling thread, and those that chatglm_cpp starts from it, run on `threads` CPUs.

    The binding has no thread setting of its own: it starts as many as the machine has CPUs, so the CPUs they may use
    are what can be limited.

    Raises: ValueError where the system cannot do that, or has fewer.
    """
    if sys.platform != "linux":
        raise ValueError("--threads needs Linux: elsewhere chatglm_cpp always uses all CPUs")
    import os

    cpus = sorted(os.sched_getaffinity(0))
    if threads > len(cpus):
        raise ValueError(f"--threads {threads}: this process may use {len(cpus)} CPUs")
    os.sched_setaffinity(0, cpus[:threads])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no reason given"])[0]
