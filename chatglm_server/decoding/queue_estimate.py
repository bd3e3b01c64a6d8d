"""Estimates how long a new request waits, from the scheduler's sequences and what this server has learned so far."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import WaitTooLong
from .answer_lengths import AnswerLengths
from .kv_cache import KVCache, Slot, common_prefix
from .model_memory import ColdCache
from .pass_times import PassTimes
from .runner import Step, StepResult
from .sequence import AnswerSequence, Phase
from .snapshots.blocks import BLOCK
from .waiting_time import DecodeSteps, Line, WaitingTime, Work

_Shared = tuple[int, AnswerSequence | None]  # tokens that need not be read, and the sequence that reads them before


@dataclass(frozen=True, slots=True)
class Present:
    """The scheduler's state: its sequences in their order, its KV cache, and the tokens of prompts a pass may read.

    `since_s`: seconds since the current pass began, or, less than 0, until the model is loaded; None if no pass is
    under way.
    """

    running: Mapping[AnswerSequence, Slot]
    waiting: Iterable[AnswerSequence]
    cache: KVCache | ColdCache
    chunk: int
    since_s: float | None


class QueueEstimate:
    """Learns from passes and ended answers, and estimates from them how long a new request waits."""

    def __init__(self, parallel: int, worth_waiting: int) -> None:
        """At most `parallel` sequences run. A sequence waits for another that is about to read `worth_waiting` tokens
        or more of a prefix that both share.
        """
        self._parallel = parallel
        self._worth_waiting = worth_waiting
        self._times = PassTimes()
        self._steps = DecodeSteps()
        self._lengths = AnswerLengths()
        self._waiting_time = WaitingTime(self._times, self._steps)
        self._known: dict[AnswerSequence, _Shared] = {}  # of those that wait, found when they came

    def note_pass(
        self, steps: Mapping[AnswerSequence, Step], results: Sequence[StepResult | Exception], seconds: float
    ) -> None:
        """Learn from a pass that took `seconds`. Mutates the estimate."""
        rows, deep = 0, 0.0
        for (sequence, step), result in zip(steps.items(), results, strict=True):
            if isinstance(result, Exception):
                return
            count = len(step.tokens) + result.drafted
            rows += count
            deep += count * (step.position + count / 2)
            if sequence.phase == Phase.DECODE and result.sampled:
                self._steps.note(count, len(result.sampled) + len(result.forced))
        if rows:
            self._times.note(rows, deep / rows, seconds)

    def note_answer(self, sequence: AnswerSequence) -> None:
        """An answer has ended, or its client has left. Mutates the estimate."""
        whole = sequence.tokens[-1] in sequence.stop_tokens
        self._lengths.note(len(sequence.tokens) - sequence.prompt_length, cut=not whole)

    def first_token_s(self, present: Present, tokens: Sequence[int] = (), *, background: bool = False) -> float | None:
        """Seconds to the first token of a request with the prompt `tokens`, if nobody else comes; None if no pass was
        run yet. Without a prompt: of the shortest request.
        """
        if not self._times.known:
            return None
        line, new = self._work(present, tokens, background=background)
        return self._waiting_time.first_token_s(line, new, present.since_s or 0.0)

    def all_done_s(self, present: Present) -> float:
        """Seconds until nothing is left to do, if nobody else comes; 0 if no pass was run yet."""
        if not self._times.known:
            return 0.0
        line, _ = self._work(present, (), background=False)
        return self._waiting_time.all_done_s(line) - (present.since_s or 0.0)

    def check(self, present: Present, tokens: Sequence[int], limit_s: float, *, background: bool) -> None:
        """Raises: WaitTooLong, if the first token would come later than in `limit_s` seconds."""
        estimate = self.first_token_s(present, tokens, background=background)
        if estimate is None or estimate <= limit_s:
            return
        line, new = self._work(present, tokens, background=background)
        again = self._waiting_time.retry_after_s(line, new, limit_s, present.since_s or 0.0)
        would = f"the first token would come in about {math.ceil(estimate)} s, and the request waits {limit_s:g} s"
        if again is None:
            raise WaitTooLong(f"{would}; reading its prompt alone takes longer: shorten it, or wait longer")
        raise WaitTooLong(f"{would}; try again in {again} s", retry_after=again)

    def _work(self, present: Present, tokens: Sequence[int], *, background: bool) -> tuple[Line, Work]:
        """All sequences as work, and the new one. Those whose clients are behind are left out: they go on only when
        these have read.
        """
        cache = present.cache
        in_pass = present.since_s is not None and present.since_s >= 0
        line = Line(self._parallel, present.chunk, cache.most, in_pass)
        works: dict[AnswerSequence, Work] = {}
        for sequence, slot in present.running.items():
            if not sequence.ended:
                held = len(slot.stored) * BLOCK if slot.awaited else len(slot.tokens)
                works[sequence] = self._begun(sequence, held)
                works[sequence].decodes = sequence.phase == Phase.DECODE
        line.running = list(works.values())
        known: dict[AnswerSequence, _Shared] = {}
        for sequence in present.waiting:
            if sequence.ended or sequence.falls_behind():
                continue
            if sequence.cached is None and sequence in self._known:
                known[sequence] = self._known[sequence]
            else:
                known[sequence] = self._shared(sequence.tokens, works, cache)
            count, reader = known[sequence]
            works[sequence] = self._begun(sequence, count)
            works[sequence].prefix_of = None if reader is None else works.get(reader)
            line.waiting.append(works[sequence])
        self._known = known
        count, reader = self._shared(tokens, works, cache)
        new = Work(max(1, len(tokens) - count), count, 1.0, background)
        new.prefix_of = None if reader is None else works[reader]
        return line, new

    def _begun(self, sequence: AnswerSequence, held: int) -> Work:
        written = len(sequence.tokens) - sequence.prompt_length
        unwritten = self._lengths.left(written, sequence.room)
        return Work(max(1, len(sequence.tokens) - held), held, unwritten, sequence.background)

    def _shared(
        self, tokens: Sequence[int], ahead: Mapping[AnswerSequence, Work], cache: KVCache | ColdCache
    ) -> _Shared:
        """How many of `tokens` need not be read when their turn comes, and the sequence that reads them before."""
        if not tokens:
            return 0, None
        count, reader = cache.known(tokens), None
        if cache.reuses_prefixes:
            for other in ahead:
                common = min(common_prefix(other.tokens, tokens), len(tokens) - 1)
                if common - count >= self._worth_waiting:
                    count, reader = common, other
        return count, reader
