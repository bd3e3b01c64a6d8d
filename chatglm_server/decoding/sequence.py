"""One answer while it is generated, as the scheduler sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from enum import Enum

from .constraints.base import Constraint, accept_and_force, constraint_failure
from .drafting.base import Draft, Drafter, cut_before
from .kv_cache import Slot
from .runner import PromptProgress, SampledToken, Sampler, Step, StepResult

MOST_UNREAD = 1024
"""Tokens that an answer may be ahead of its client; then it pauses until the client has read half of them."""


class Phase(Enum):
    """The work of a sequence in a forward pass."""

    PREFILL = "prefill"
    """Reads a part of its prompt; samples only after the last token of it."""
    DECODE = "decode"
    """Reads the last token, and forced or drafted ones with it, and samples what follows."""


class AnswerSequence:
    """A prompt and the answer that grows behind it, and how much of both the KV cache holds.

    Used on the event loop only, except for `prepare`.
    """

    def __init__(
        self,
        prompt: list[int],
        make_sampler: Callable[[], Sampler],
        *,
        max_tokens: int,
        stop_tokens: Collection[int],
        constraint: Constraint | None = None,
        drafter: Drafter | None = None,
        reports_progress: bool = False,
        background: bool = False,
    ) -> None:
        """`max_tokens` is at least 1; one of `stop_tokens` ends the answer and is its last token.

        `reports_progress`: `out` also says how far the prompt is read. `background`: it runs while no other does.
        """
        self.tokens = prompt  # until `begin`, so that waiting answers to one prompt share it
        self.prompt_length = len(prompt)
        self._make_sampler = make_sampler
        self._sampler: Sampler | None = None
        self._max_tokens = max_tokens
        self.stop_tokens = stop_tokens
        self._constraint = constraint
        self._drafter = drafter
        self._reports_progress = reports_progress
        self.background = background
        self.read = 0
        """Tokens of the prompt that are read, those from the cache among them."""
        self.phase = Phase.PREFILL
        self._sampled = False
        self.prepared = False
        """True if the answer has begun with what `prepare` returned."""
        self.cached: int | None = None
        """Tokens of the prompt that were in the cache when the sequence first ran; None: it has not run."""
        self._reading = False  # True once it has read anything
        self.began = 0.0
        self.drafted = 0
        """Drafted tokens that passes have verified."""
        self.accepted = 0
        """Those among them that were right."""
        self.ended = False
        """True if the answer is complete, or its client has left."""
        self.out: asyncio.Queue[SampledToken | PromptProgress | Exception | None] = asyncio.Queue()
        """The progress of the prompt, and the answer's tokens for its client; then None, or the error that ended it.
        About `MOST_UNREAD` at most."""
        self._paused = False

    def falls_behind(self) -> bool:
        """True if the client has so many tokens left to read that the sequence should pause. Mutates the sequence: a
        pause ends later than it begins.
        """
        self._paused = self.out.qsize() >= (MOST_UNREAD // 2 if self._paused else MOST_UNREAD)
        return self._paused

    def prepare(self) -> Sequence[int] | None:
        """Make the sampler; returns the tokens that the constraint forces at the beginning. On the model's thread.

        None if the constraint is not ready: then `prepare` has to be called again.

        Raises: ModelFailure if the constraint raises anything.
        """
        if self._sampler is None:
            self._sampler = self._make_sampler()
        if self._constraint is not None and not self._constraint.ready:
            return None
        try:
            forced = accept_and_force(self._constraint, ())
        except Exception as error:
            raise constraint_failure(error) from None
        for token in forced:
            self._sampler.note(token)
        return forced

    def begin(self, forced: Sequence[int]) -> None:
        """The answer begins with what `prepare` returned. Mutates the sequence."""
        self.prepared = True
        self.tokens = list(self.tokens)
        self._append([SampledToken(token) for token in forced])

    def admit(self, cached: int) -> None:
        """The sequence runs from now on, with `cached` tokens in its slot. Mutates the sequence."""
        self.phase = Phase.PREFILL
        self.read = cached
        if not self._reading:
            self.cached, self.began = cached, self.began or time.perf_counter()

    def note_restored(self, count: int) -> None:
        """So many tokens more came into its slot from disk. Mutates the sequence."""
        self.read += count
        if not self._reading:
            self.cached = (self.cached or 0) + count

    @property
    def room(self) -> int:
        """Tokens that the answer may still get."""
        return self.prompt_length + self._max_tokens - len(self.tokens)

    @property
    def readable(self) -> int:
        """How many of the tokens may be read: before the answer has begun not the last, which is sampled from."""
        return len(self.tokens) - (not self.prepared)

    def draft(self, most: int) -> Draft:
        """The drafter's proposal: at most `most` tokens, and no more than the answer has room for."""
        most = min(most, self.prompt_length + self._max_tokens - len(self.tokens) - 1)
        if self._drafter is None or most <= 0:
            return Draft()
        tokens, chances = self._drafter.propose(self.tokens, most)
        return cut_before(Draft(tokens[:most], chances[:most]), self.stop_tokens)

    @property
    def drafts(self) -> bool:
        """True if there is a drafter."""
        return self._drafter is not None

    def step(self, slot: Slot, count: int, draft: Sequence[int] = ()) -> Step:
        """A step over the next `count` tokens that `slot` does not hold. If these are all it samples, and verifies
        `draft`. Mutates the sequence.
        """
        self._reading = True
        position = len(slot.tokens)
        samples = position + count == len(self.tokens)
        tokens = self.tokens[position : position + count]
        return Step(slot.index, position, tokens, self._sampler, samples, draft if samples else (), self._constraint)

    def note_read(self, count: int) -> None:
        """The slot holds `count` tokens now, and not all that are there. Mutates the sequence."""
        self.read = count
        if self._reports_progress and not self._sampled:
            self.out.put_nowait(PromptProgress(count, time.perf_counter() - self.began))

    def advance(self, result: StepResult, price: float) -> None:
        """Append what a step gave: nothing in a prefill; one token in a decode, and one for each right token drafted.

        Each drafted token cost the time of `price` other tokens. Mutates the sequence.
        """
        if result.sampled:
            self.phase, self._sampled = Phase.DECODE, True
            if self._drafter is not None and result.drafted:
                right = len(result.sampled) - 1
                self._drafter.judge(result.drafted, right, price * result.drafted)
                self.drafted += result.drafted
                self.accepted += right
            self._append([*result.sampled, *(SampledToken(token) for token in result.forced)])

    def fail(self, error: Exception) -> None:
        """End with `error`. Mutates the sequence."""
        if not self.ended:
            self.ended = True
            self.out.put_nowait(error)

    def _append(self, tokens: Sequence[SampledToken]) -> None:
        for token in tokens:
            if self.ended:
                return
            self.tokens.append(token.token)
            self.out.put_nowait(token)
            if token.token in self.stop_tokens or len(self.tokens) - self.prompt_length >= self._max_tokens:
                self.ended = True
                self.out.put_nowait(None)
