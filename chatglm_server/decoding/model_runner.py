"""The runner of every model that gives logits: it applies constraints, verifies drafts, and samples with the core."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import chatglm_native

from ..errors import ModelFailure
from ..sampling import SamplingParams
from .constraints.base import Constraint, TokenMask, accept_and_force, constraint_failure
from .model import Model, ScheduledSequence
from .runner import SampledToken, Step, StepResult
from .sampler import make_sampler
from .snapshots.snapshots import Snapshots

_Sampled = tuple[int, float, Sequence[tuple[int, float]]]  # a token of -1: the mask allows none


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of a step from which tokens are sampled: one more than `draft` has tokens.

    `masks` is empty, or has one for each row, None where all tokens are allowed.
    """

    draft: Sequence[int] = ()
    masks: Sequence[TokenMask | None] = field(default=())

    @property
    def count(self) -> int:
        return 1 + len(self.draft)


class ModelRunner:
    """A `Runner` around a model: the forward pass is the model's, sampling is the core's."""

    verifies_drafts = True

    def __init__(self, model: Model, pool: chatglm_native.ThreadPool, snapshots: Snapshots | None = None) -> None:
        """The threads of `pool` sample, each the tokens of one sequence at a time. `snapshots` are of this model."""
        self._model = model
        self._pool = pool
        self.snapshots = snapshots
        self.vocab_size = model.vocab_size
        self.slots = model.slots
        self.chunk = model.chunk
        self.reuses_prefixes = model.reuses_prefixes

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams, answer: int) -> chatglm_native.Sampler:
        return make_sampler(prompt, sampling, answer)

    def run(self, steps: Sequence[Step]) -> list[StepResult | ModelFailure]:
        planned = [self._plan(step) for step in steps]
        batch: list[ScheduledSequence] = []
        requests = []
        row = 0
        for step, rows in zip(steps, planned, strict=True):
            wanted, draft = (rows.count, rows.draft) if isinstance(rows, _Rows) else (0, ())
            batch.append(ScheduledSequence(step.slot, step.position, [*step.tokens, *draft], wanted))
            if isinstance(rows, _Rows):
                requests.append(
                    (step.sampler, row, draft, [None if mask is None else mask.words for mask in rows.masks])
                )
                row += wanted
        logits = self._model.forward(batch)
        sampled = iter(chatglm_native.sample(self._pool, logits, requests) if requests else ())
        results: list[StepResult | ModelFailure] = []
        for step, rows in zip(steps, planned, strict=True):
            if isinstance(rows, _Rows):
                results.append(self._result(step, rows, next(sampled)))
            else:
                results.append(rows or StepResult())
        return results

    def truncate(self, slot: int, kept: int) -> None:
        self._model.truncate(slot, kept)

    def copy(self, source: int, target: int, count: int) -> None:
        self._model.copy(source, target, count)

    def _plan(self, step: Step) -> _Rows | ModelFailure | None:
        """The rows to sample from; None if the step does not sample."""
        if not step.samples:
            return None
        if step.constraint is None:
            return _Rows(step.draft)
        try:
            return self._constrained(step.constraint, step.draft)
        except Exception as error:  # whatever a constraint raises ends its own answer only
            return constraint_failure(error)

    def _constrained(self, constraint: Constraint, draft: Sequence[int]) -> _Rows:
        """The mask of each row, and the draft up to where the constraint does not allow it or forces tokens: those are
        not sampled. The constraint goes ahead along the draft and is rolled back.
        """
        masks = [self._mask(constraint)]
        ahead = 0
        for token in draft:
            mask = masks[-1]
            if mask is not None and token not in mask:
                break
            if not constraint.done:
                constraint.accept([token])
                ahead += 1
                if not constraint.done and constraint.forced():
                    break
            masks.append(self._mask(constraint))
        constraint.rollback(ahead)
        return _Rows(draft[: len(masks) - 1], masks)

    def _mask(self, constraint: Constraint) -> TokenMask | None:
        if constraint.done or constraint.free:
            return None
        mask = TokenMask(self.vocab_size)
        constraint.fill(mask)
        return mask

    def _result(self, step: Step, rows: _Rows, sampled: Sequence[_Sampled]) -> StepResult | ModelFailure:
        """Drop the rejected part of the draft, and have the constraint go on."""
        read = step.position + len(step.tokens)
        failure = None if sampled[-1][0] >= 0 else constraint_failure()
        if failure is None:
            try:
                forced = accept_and_force(step.constraint, [token for token, _, _ in sampled])
            except Exception as error:  # as in `_plan`
                failure = constraint_failure(error)
        kept = read if failure else read + len(sampled) - 1
        if kept < read + len(rows.draft):
            self._model.truncate(step.slot, kept)
        if failure is not None:
            return failure
        for token in forced:
            step.sampler.note(token)
        return StepResult([SampledToken(*one) for one in sampled], forced, len(rows.draft))
