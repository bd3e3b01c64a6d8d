"""What the scheduler drives: a model together with the sampling of its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import chatglm_native

from ..errors import ModelFailure
from ..sampling import SamplingParams
from .constraints.base import Constraint, TokenMask
from .model import Model, ScheduledSequence
from .sampler import make_sampler

NOTHING_ALLOWED = "the answer cannot go on: its constraint allows no token"


class Sampler(Protocol):
    """Samples the tokens of one answer. What a runner makes of it is the runner's own business."""

    def note(self, token: int) -> None:
        """Note a token of the answer that was not sampled. Mutates the sampler."""
        ...


class SampledToken(NamedTuple):
    """A token, the natural logarithm of its probability, and the likeliest tokens with theirs, where wanted.

    A forced token has the logarithm 0 and no likeliest tokens.
    """

    token: int
    logprob: float = 0.0
    top: Sequence[tuple[int, float]] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """What one pass does for one sequence: reads `tokens`, from `position` on, into `slot`.

    With `samples` the next token is sampled, and more if `draft` turns out right. `sampler` is one that the runner
    made; it may be any if nothing is sampled.
    """

    slot: int
    position: int
    tokens: Sequence[int]
    sampler: Any
    samples: bool
    draft: Sequence[int] = ()
    constraint: Constraint | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What a pass gave one sequence: `sampled` tokens, of which all but the last were drafted and are in the slot's
    cache, and `forced` ones, which the constraint puts behind them.
    """

    sampled: Sequence[SampledToken] = ()
    forced: Sequence[int] = ()


class Runner(Protocol):
    """A model that samples, and the KV caches of some sequences. One thread at a time may call it.

    `vocab_size`, `slots`, `chunk`, `reuses_prefixes`, `truncate` and `copy` are as for `Model`.
    """

    @property
    def vocab_size(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def chunk(self) -> int: ...
    @property
    def reuses_prefixes(self) -> bool: ...
    @property
    def verifies_drafts(self) -> bool:
        """Whether a step may have a draft."""
        ...

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams, answer: int) -> Sampler:
        """A sampler for the answer number `answer`, from 0, to `prompt`."""
        ...

    def run(self, steps: Sequence[Step]) -> list[StepResult | ModelFailure]:
        """One pass over different sequences: the result of each, or what keeps it from going on.

        Mutates the caches, the samplers and the constraints. A slot then holds what was read and the drafted tokens
        that were sampled.

        Raises: ModelFailure if the pass failed as a whole.
        """
        ...

    def truncate(self, slot: int, kept: int) -> None: ...
    def copy(self, source: int, target: int, count: int) -> None: ...


class ModelRunner:
    """A `Runner` for every model that gives logits: the forward pass is the model's, sampling is the core's."""

    verifies_drafts = True

    def __init__(self, model: Model, pool: chatglm_native.ThreadPool) -> None:
        """`pool`: the threads that sample, each the tokens of one sequence at a time."""
        self._model = model
        self._pool = pool
        self.vocab_size = model.vocab_size
        self.slots = model.slots
        self.chunk = model.chunk
        self.reuses_prefixes = model.reuses_prefixes

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams, answer: int) -> chatglm_native.Sampler:
        return make_sampler(prompt, sampling, answer)

    def run(self, steps: Sequence[Step]) -> list[StepResult | ModelFailure]:
        batch: list[ScheduledSequence] = []
        requests: list[tuple[Any, int, Sequence[int], Sequence[Any]]] = []
        row = 0
        for step in steps:
            draft: Sequence[int] = step.draft
            masks: list[TokenMask | None] = []
            if step.samples and step.constraint is not None:
                draft, masks = self._constrain(step.constraint, draft)
            wanted = 1 + len(draft) if step.samples else 0
            batch.append(ScheduledSequence(step.slot, step.position, [*step.tokens, *draft], wanted))
            if step.samples:
                words = [mask and mask.words for mask in masks]
                requests.append((step.sampler, row, draft, words))
                row += wanted
        logits = self._model.forward(batch)
        sampled = iter(chatglm_native.sample(self._pool, logits, requests) if requests else ())
        return [
            self._advance(step, scheduled, next(sampled)) if step.samples else StepResult()
            for step, scheduled in zip(steps, batch, strict=True)
        ]

    def truncate(self, slot: int, kept: int) -> None:
        self._model.truncate(slot, kept)

    def copy(self, source: int, target: int, count: int) -> None:
        self._model.copy(source, target, count)

    def _constrain(self, constraint: Constraint, draft: Sequence[int]) -> tuple[Sequence[int], list[TokenMask | None]]:
        """The mask of each row, and the draft up to where the constraint does not allow it, or forces tokens: those
        come without being sampled. The constraint goes ahead along the draft and is rolled back.
        """
        masks = [self._mask(constraint)]
        ahead = 0
        for token in draft:
            mask = masks[-1]
            if mask is not None and token not in mask:
                break
            if mask is not None:
                constraint.accept([token])
                if not constraint.done and constraint.forced():
                    constraint.rollback(1)
                    break
                ahead += 1
            masks.append(self._mask(constraint))
        constraint.rollback(ahead)
        return draft[: len(masks) - 1], masks

    def _mask(self, constraint: Constraint) -> TokenMask | None:
        if constraint.done:
            return None
        mask = TokenMask(self.vocab_size)
        constraint.fill(mask)
        return mask

    def _advance(
        self, step: Step, scheduled: ScheduledSequence, rows: Sequence[tuple[int, float, Sequence[tuple[int, float]]]]
    ) -> StepResult | ModelFailure:
        """Drop the rejected part of a draft, and have the constraint go on. A token of -1: none was allowed."""
        read = scheduled.position + len(step.tokens)
        if rows[-1][0] < 0:
            self._model.truncate(step.slot, read)
            return ModelFailure(NOTHING_ALLOWED)
        if len(rows) < scheduled.wanted:
            self._model.truncate(step.slot, read + len(rows) - 1)
        sampled = [SampledToken(*row) for row in rows]
        forced = accept_and_force(step.constraint, step.sampler, [token.token for token in sampled])
        return StepResult(sampled, forced)


def accept_and_force(constraint: Constraint | None, sampler: Sampler, tokens: Sequence[int]) -> Sequence[int]:
    """The constraint accepts `tokens` and those that it then forces, which are returned and noted by the sampler.

    Mutates both.
    """
    if constraint is None:
        return ()
    for token in tokens:
        if not constraint.done:
            constraint.accept([token])
    if constraint.done:
        return ()
    forced = constraint.forced()
    constraint.accept(forced)
    for token in forced:
        sampler.note(token)
    return forced
