"""The backend chatglm_cpp, which samples by itself: it gives no logits.

Its binding computes one sequence and holds Python's GIL during a forward pass. It reads a prompt in one pass only from
position 0, and cannot be interrupted. So every token is read by a pass of its own here. A prompt loses about a fifth of
its speed (the binding multiplies row by row anyway). In return a request can be cancelled between any two tokens, the
server answers others meanwhile, and a token's result does not depend on whether its prefix was cached.

Its top_p keeps the right tokens, but then samples too evenly among them: it takes the softmax of probabilities
(``generate_next_token`` after ``sampling_top_p``). Without top_p it samples right, so that is the default.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import ModelFailure, ModelFileError
from ...model_files.model_file import ModelFile
from ...sampling import SamplingParams
from ..constraints.base import Constraint, TokenMask, accept_and_force, constraint_failure
from ..runner import SampledToken, Step, StepResult
from . import BackendOptions
from .loading import read_through

_BOOST = 1e-6
_LEAST = 1e-3  # of temperature and top_p: less overflows the binding's float32, or becomes 0, which switches them off


class _Sampler:
    """The arguments of the binding for each token that it samples."""

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
    """One sequence on a chatglm_cpp pipeline.

    `bidirectional` is for ChatGLM-6B, whose prompt attends both ways: one pass reads it, and no other sequence can use
    a part of it.
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
        self.snapshots = None
        self.vocab_size = int(self._pipeline.model.config.vocab_size)
        self._ids: list[int] = []

    def _reserve_compute_buffer(self, context_length: int) -> None:
        """Make the binding allocate now what a token at the end of the context will need.

        If its buffer grows from one token to the next it overruns the heap ("double free or corruption" after a few
        hundred tokens). A pass over a few tokens needs more than any later one: its activations, two feed-forward
        widths a token, are larger than the attention scores of one token over the whole context.
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
            free = constraint.done or constraint.free
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
        # The binding computes only the last of the ids; its repetition penalty applies to the others. So the allowed
        # tokens go in their place: a penalty far below 1 multiplies their logits by its inverse, and the likeliest of
        # them is sampled if its logit is positive. If none is, and another token's is, the first allowed one is taken.
        history = (list(allowed) * (past // len(allowed) + 1))[:past]
        boost = self._binding.GenerationConfig(do_sample=False, repetition_penalty=_BOOST)
        token = self._forward([*history, self._ids[-1]], past, boost, prompt_length)
        return token if token in allowed else allowed[0]

    def _forward(self, ids: list[int], past: int, config: Any, prompt_length: int) -> int:
        try:
            return int(self._pipeline.model.generate_next_token(ids, None, config, past, prompt_length))
        except RuntimeError as error:  # NaN logits: broken weights
            raise ModelFailure(f"chatglm_cpp failed: {_first_line(error)}") from None


class ChatGLMCppBackend:
    """Runs every chatglm.cpp file, one sequence at a time."""

    gives_logits = False
    most_parallel = 1

    def obstacle(self, file: ModelFile) -> str:
        if file.container != "chatglm.cpp":
            return f"it reads chatglm.cpp files, not {file.container}"
        return "" if file.spec.cache_type == "f16" else "it keeps keys and values in 16 bits: leave out --kv-cache-type"

    def check(self, options: BackendOptions) -> None:
        if options.threads_on_battery is not None:
            raise ModelFileError("--threads-on-battery needs the native core")
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
        read_through(file.path, stopping)
        bidirectional = file.spec.architecture == "chatglm-6b"
        return ChatGLMCppRunner(file.path, options.context_length, bidirectional=bidirectional)


def limit_threads(threads: int) -> None:
    """Limit the calling thread, and those that chatglm_cpp starts from it, to `threads` CPUs.

    The binding starts as many threads as the machine has CPUs, and has no setting for that.

    Raises: ValueError if the system cannot do that or has fewer CPUs.
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
