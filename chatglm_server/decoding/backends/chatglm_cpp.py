"""The model backend chatglm_cpp, at token level.

Its binding computes one sequence and holds Python's GIL during a forward pass. It reads a prompt in one pass only from
position 0, and then cannot be interrupted; so here every token is read by a pass of its own. That costs a prompt about
a fifth of its speed (the binding multiplies row by row anyway), and in return a request can be cancelled, and the
server answers, between any two tokens; and a token's result is the same whether its prefix was cached or not.

Its top_p keeps the right tokens, but then draws too evenly among them: it takes the softmax of what are probabilities
already (``generate_next_token`` after ``sampling_top_p``). Without top_p the draw is right, so that is the default.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import ModelFailure, ModelFileError
from ...model_files.chatglm_bin import ModelFile
from ...sampling import SamplingParams
from ..constraints.base import Constraint, TokenMask, accept_and_force, constraint_failure
from ..runner import SampledToken, Step, StepResult
from . import BackendOptions
from .loading import read_through

_BOOST = 1e-6
_LEAST = 1e-3  # of temperature and top_p: less overflows the binding's float32, or turns into 0, which it reads as off


class _Sampler:
    """What the binding needs to be told with each token that it samples."""

    def __init__(self, binding: Any, prompt: Sequence[int], sampling: SamplingParams) -> None:
        self.prompt_length = len(prompt)
        self.config = binding.GenerationConfig(
            do_sample=sampling.temperature >= _LEAST,
            temperature=sampling.temperature,
            top_p=max(sampling.top_p, _LEAST),
            top_k=sampling.top_k,
            repetition_penalty=sampling.repetition_penalty,
        )

    def note(self, token: int) -> None:
        """The binding looks at the sequence itself."""


class ChatGLMCppRunner:
    """One sequence on a chatglm_cpp pipeline. `bidirectional` is for ChatGLM-6B, whose prompt attends both ways: it is
    read in one pass, and no part of it can be kept for another.
    """

    slots = 1
    verifies_drafts = False

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
        self.chunk = context_length if bidirectional else 1
        self.reuses_prefixes = not bidirectional
        self.vocab_size = int(self._pipeline.model.config.vocab_size)
        self._ids: list[int] = []

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

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams, answer: int) -> _Sampler:
        return _Sampler(self._binding, prompt, sampling)

    def run(self, steps: Sequence[Step]) -> list[StepResult | ModelFailure]:
        (step,) = steps
        self._ids[step.position :] = step.tokens
        if step.samples and step.constraint is not None:
            return [self._run_constrained(step, step.constraint)]
        config = step.sampler.config if step.samples else self._greedy
        token = self._forward(self._ids, step.position, config, step.sampler.prompt_length)
        return [StepResult([SampledToken(token)] if step.samples else ())]

    def copy(self, source: int, target: int, count: int) -> None:
        """There is one slot only."""

    def truncate(self, slot: int, kept: int) -> None:
        """The binding keeps its memory."""

    def _run_constrained(self, step: Step, constraint: Constraint) -> StepResult | ModelFailure:
        mask, failure = TokenMask(self.vocab_size), None
        try:
            free = constraint.done
            if not free:
                constraint.fill(mask)
            allowed = list(mask)
        except Exception as error:  # whatever a constraint raises ends its own answer only
            free, failure = True, constraint_failure(error)
        if free or not allowed:
            failure = failure or (None if free else constraint_failure())
            token = self._forward(self._ids, step.position, step.sampler.config, step.sampler.prompt_length)
        else:
            token = self._choose(allowed, step.position, step.sampler.prompt_length)
        if failure is not None:
            return failure
        try:
            return StepResult([SampledToken(token)], accept_and_force(constraint, [token]))
        except Exception as error:
            return constraint_failure(error)

    def _choose(self, allowed: Sequence[int], past: int, prompt_length: int) -> int:
        # The binding gives no logits. But it computes only the last of the ids it is given: the others are just what
        # its repetition penalty applies to. With the allowed tokens in their place and a penalty far below 1, their
        # logits are multiplied by its inverse, and the likeliest of them wins if its logit is positive. If none of them
        # has such a logit, and some other token has, the first allowed one is taken.
        history = (list(allowed) * (past // len(allowed) + 1))[:past]
        boost = self._binding.GenerationConfig(do_sample=False, repetition_penalty=_BOOST)
        token = self._forward([*history, self._ids[-1]], past, boost, prompt_length)
        return token if token in allowed else allowed[0]

    def _forward(self, ids: list[int], past: int, config: Any, prompt_length: int) -> int:
        try:
            return int(self._pipeline.model.generate_next_token(ids, None, config, past, prompt_length))
        except RuntimeError as error:  # logits that are no numbers: broken weights
            raise ModelFailure(f"chatglm_cpp failed: {_first_line(error)}") from None


class ChatGLMCppBackend:
    """Runs every chatglm.cpp file, one sequence at a time."""

    gives_logits = False
    most_parallel = 1

    def obstacle(self, file: ModelFile) -> str:
        return ""

    def check(self, options: BackendOptions) -> None:
        if importlib.util.find_spec("chatglm_cpp") is None:
            raise ModelFileError(
                "the chatglm-cpp backend is not installed: "
                "CMAKE_POLICY_VERSION_MINIMUM=3.5 pip install chatglm-cpp==0.4.2"
            )

    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ChatGLMCppRunner:
        if options.threads is not None:
            try:
                limit_threads(options.threads)
            except ValueError as error:
                raise ModelFileError(str(error)) from None
        read_through(file, stopping)
        return ChatGLMCppRunner(file.path, options.context_length, bidirectional=file.family == "chatglm")


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
