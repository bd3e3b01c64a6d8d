"""A runner at token level, driven as the scheduler drives it, one sequence alone; and toy constraints."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import chatglm_native

from chatglm_server.decoding.constraints.base import Constraint, TokenMask
from chatglm_server.decoding.model import Model
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.decoding.runner import Runner, SampledToken, Step, StepResult
from chatglm_server.sampling import SamplingParams

GREEDY = SamplingParams(temperature=0)


@contextmanager
def one_cpu() -> Iterator[None]:
    """chatglm_cpp on one CPU: its threads spin while they wait for each other; on a busy machine that takes minutes."""
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cpus)


class OnlyTokens:
    """Every token of an answer is one of `tokens`, for ever; `lead`, if there is one, is forced at the beginning."""

    ready = True
    done = False
    free = False

    def __init__(self, tokens: Iterable[int], lead: Sequence[int] = ()) -> None:
        self.tokens = frozenset(tokens)
        self.lead = list(lead)
        self.accepted: list[int] = []

    def fill(self, mask: TokenMask) -> None:
        for token in self.forced()[:1] or self.tokens:
            mask.allow(token)

    def forced(self) -> list[int]:
        return self.lead[len(self.accepted) :]

    def accept(self, tokens: Sequence[int]) -> None:
        for token in tokens:
            assert token in (self.forced()[:1] or self.tokens), "accepted what is not allowed"
            self.accepted.append(token)

    def rollback(self, count: int) -> None:
        assert count <= len(self.accepted)
        del self.accepted[len(self.accepted) - count :]


def model_runner(model: Model, threads: int = 2) -> ModelRunner:
    """A runner for a model that gives logits."""
    return ModelRunner(model, chatglm_native.ThreadPool(threads))


class Continued:
    """A sequence in the model's first slot, of which the first tokens are known to be cached."""

    def __init__(self, runner: Runner, prompt: list[int], cached: int = 0, sampling: SamplingParams = GREEDY) -> None:
        self.runner, self.tokens, self.past = runner, list(prompt), cached
        self.sampler = runner.sampler(prompt, sampling, 0)

    def read(self, most: int) -> None:
        """One pass over the next `most` tokens, all but the last."""
        tokens = self.tokens[self.past : min(self.past + most, len(self.tokens) - 1)]
        self._run(Step(0, self.past, tokens, self.sampler, samples=False))
        self.past += len(tokens)

    def step(self, constraint: Constraint | None = None) -> int:
        """The next token, after all that has to be read for it."""
        while len(self.tokens) - self.past > self.runner.chunk:
            self.read(self.runner.chunk)
        unread = self.tokens[self.past :]
        (sampled,) = self._run(Step(0, self.past, unread, self.sampler, samples=True, constraint=constraint)).sampled
        self.past = len(self.tokens)
        self.tokens.append(sampled.token)
        return sampled.token

    def verify(self, draft: Sequence[int], constraint: Constraint | None = None) -> list[SampledToken]:
        """The next tokens, as far as the draft is right, and one more."""
        unread = self.tokens[self.past :]
        result = self._run(Step(0, self.past, unread, self.sampler, True, draft, constraint))
        self.past += len(unread) + len(result.sampled) - 1
        self.tokens += [token.token for token in result.sampled]
        self.tokens += result.forced
        return list(result.sampled)

    def _run(self, step: Step) -> StepResult:
        (result,) = self.runner.run([step])
        assert isinstance(result, StepResult), result
        return result


def generate(runner: Runner, prompt: list[int], count: int, cached: int = 0) -> list[int]:
    """`count` greedy tokens."""
    sequence = Continued(runner, prompt, cached)
    return [sequence.step() for _ in range(count)]
