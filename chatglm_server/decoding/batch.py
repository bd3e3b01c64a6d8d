"""The sequences of a pass: which of those that are here run, in which slots, and how much of each a pass reads.

Nothing here waits or computes. `Scheduler` drives it, between two passes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .kv_cache import Slot, common_prefix
from .model_memory import ModelMemory
from .pass_drafts import PassDrafts
from .pass_shares import pass_shares
from .runner import Step
from .sequence import AnswerSequence, Phase
from .snapshots.snapshots import Moves

WORTH_WAITING = 32
"""Tokens of a prefix that another sequence is about to read: so many are waited for."""


class Batch:
    """First come, first served, at most `parallel` at once.

    A sequence in the background is suspended while others run or could run. So is one whose client does not read, until
    the client has caught up, and the one that came last where memory is short. Its prefix stays in the KV cache as long
    as there is room, and it writes the same text.
    """

    def __init__(self, parallel: int, memory: ModelMemory, drafting: PassDrafts) -> None:
        """`memory` has the slots, while the model is loaded. `drafting` has the drafts of passes."""
        self._parallel = parallel
        self._memory = memory
        self._drafting = drafting
        self.running: dict[AnswerSequence, Slot] = {}
        """In the order in which they were admitted."""
        self.waiting: deque[AnswerSequence] = deque()
        """In their order. They have no slots."""

    @property
    def has_work(self) -> bool:
        """True if a sequence is left, or a slot holds something that should go to disk."""
        if self.waiting or self.running:
            return True
        return self._memory.snapshots is not None and bool(self._memory.snapshots.unsaved(self._memory.cache.slots))

    def fail(self, error: Exception) -> None:
        """End all sequences with `error`. Mutates the batch."""
        for sequence in (*self.running, *self.waiting):
            sequence.fail(error)
        self.release()

    def release(self) -> None:
        """Free the slots of sequences that have ended, and of those whose clients are behind. Mutates the batch."""
        for sequence in [sequence for sequence in self.running if sequence.ended]:
            self.running.pop(sequence).busy = False
        for sequence in [sequence for sequence in reversed(self.running) if sequence.falls_behind()]:
            self._suspend(sequence)
        self.waiting = deque(sequence for sequence in self.waiting if not sequence.ended)

    def admit(self) -> None:
        """Start waiting sequences, in their order, as long as there are places and memory. Those in the background make
        way for others. Mutates the batch.
        """
        known = (*self.running, *self.waiting)
        others = any(not (sequence.background or sequence.falls_behind()) for sequence in known)
        if others:
            for sequence in [sequence for sequence in reversed(self.running) if sequence.background]:
                self._suspend(sequence)
        cache = self._memory.cache
        for sequence in list(self.waiting):
            if len(self.running) == self._parallel or not cache.free:
                break
            if sequence.falls_behind() or (sequence.background and others):
                continue
            if self.running and not cache.fits(len(sequence.tokens)):
                break
            if not self._should_wait(sequence):
                slot = cache.assign(sequence.tokens)
                sequence.admit(len(slot.tokens))
                self.waiting.remove(sequence)
                self.running[sequence] = slot

    def steps(self) -> dict[AnswerSequence, Step]:
        """The steps of the next pass. If memory is short, the last sequence waits again. Mutates the batch."""
        counts = self._counts()
        drafts = self._drafts(counts)
        while True:
            steps = {
                sequence: sequence.step(self.running[sequence], count, drafts.get(sequence, ()))
                for sequence, count in counts.items()
            }
            if self._memory.cache.make_room(_rows(steps)):
                return steps
            if drafts:
                drafts = {}
            else:
                self._suspend(next(reversed(self.running)))
                counts = self._counts()

    def moves(self, steps: dict[AnswerSequence, Step]) -> Moves:
        """What goes to disk, and comes from there, before the pass over `steps`. A sequence whose prefix has no room in
        memory waits again. Mutates the batch.
        """
        if self._memory.snapshots is None:
            return Moves()
        read = _rows(steps)
        moves = self._memory.snapshots.plan(
            self._memory.cache.slots,
            lambda tokens: self._memory.cache.make_room(read + tokens),
            short=any(sequence.phase == Phase.DECODE for sequence in steps),
        )
        coming = [restore.slot for restore in moves.restores]
        for sequence, slot in reversed(list(self.running.items())):
            if slot.awaited and slot not in coming:
                self._suspend(sequence)
        return moves

    def note_moves(self, moves: Moves) -> None:
        """Note what came from disk in its slots, and as cached in their sequences."""
        if self._memory.snapshots is not None and moves.restores:
            sequences = {slot.index: sequence for sequence, slot in self.running.items()}
            for restore in moves.restores:
                sequences[restore.slot.index].note_restored(self._memory.snapshots.note_restore(restore))

    def _suspend(self, sequence: AnswerSequence) -> None:
        """Have a running sequence wait again, in front of those that came later."""
        self.running.pop(sequence).busy = False
        self.waiting.appendleft(sequence)

    def _should_wait(self, sequence: AnswerSequence) -> bool:
        """True if another sequence is about to read a prefix that both share: waiting spares reading it twice."""
        known = self._memory.cache.cached(sequence.tokens)
        for other, slot in self.running.items():
            common = min(common_prefix(other.tokens, sequence.tokens), len(sequence.tokens) - 1)
            if common - known >= WORTH_WAITING and len(slot.tokens) < common:
                return True
        return False

    def _drafts(self, counts: dict[AnswerSequence, int]) -> dict[AnswerSequence, Sequence[int]]:
        """The drafts for the sequences that decode, as long as pays in a pass that reads `counts` tokens besides."""
        if not self._memory.runner.verifies_drafts:
            return {}
        decoding = [
            sequence
            for sequence, count in counts.items()
            if sequence.phase == Phase.DECODE and len(self.running[sequence].tokens) + count == len(sequence.tokens)
        ]
        return self._drafting.of_pass(decoding, sum(counts.values()))

    def _counts(self) -> dict[AnswerSequence, int]:
        """How many tokens each sequence reads, of those that read any."""
        reading = [(sequence, slot) for sequence, slot in self.running.items() if not slot.awaited]
        unread = [sequence.readable - len(slot.tokens) for sequence, slot in reading]
        decodes = [sequence.phase == Phase.DECODE for sequence, _ in reading]
        shares = pass_shares(unread, decodes, self._memory.runner.chunk)
        return {sequence: share for (sequence, _), share in zip(reading, shares, strict=True) if share}


def _rows(steps: dict[AnswerSequence, Step]) -> int:
    """Positions that the steps read, drafts among them."""
    return sum(len(step.tokens) + len(step.draft) for step in steps.values())
