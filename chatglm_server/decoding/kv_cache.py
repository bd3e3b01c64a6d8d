"""Assigns slots to sequences: each gets the one that spares it most reading, within a bound on memory.

A model has many more slots than sequences that run at the same time. The others keep the prefixes of earlier ones, so
that conversations can take turns and each reads only its new tokens. Prefixes are whole slots, not a tree of shared
pages: a slot is copied where two sequences diverge. So attention reads keys and values in one run of memory, and
unused slots cost nothing. A copy moves some ten kilobytes a token, while reading a token takes all weights. The price
is memory: a prefix that several slots share is held several times, within the bound.

Prefixes on disk (`snapshots/`) count, too: a slot then awaits their blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ..queueing.status import CacheStatus
from .runner import Runner
from .snapshots.blocks import BLOCK, Block

_WORTH_LOADING = 32
"""Tokens that a prefix on disk has more than those in memory: to load a block takes less time than to read these."""


class Slot:
    """One of the model's slots: the tokens whose keys and values it holds, and whether a sequence uses it.

    Nothing is held behind these tokens.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.tokens: list[int] = []
        self.busy = False
        self.last_used = 0
        self.stored: list[Block] = []
        """The first blocks of its sequence that are on disk, or on their way there."""
        self.awaited: list[Block] = []
        """Those of them that are to be read from disk before the sequence goes on."""


class KVCache:
    """All slots of a model. The calls in `pending` carry out its decisions; they are due before the next pass."""

    def __init__(self, runner: Runner, most_positions: int) -> None:
        """At most `most_positions`, over all slots, are held."""
        self._runner = runner
        self._most = most_positions
        self.slots = [Slot(index) for index in range(runner.slots)]
        self._clock = 0
        self.pending: list[Callable[[], None]] = []

    def status(self) -> CacheStatus:
        """How full the cache is."""
        return {"tokens": self._held(), "most": self._most}

    @property
    def most(self) -> int:
        """Positions that there may be, over all slots."""
        return self._most

    @property
    def reuses_prefixes(self) -> bool:
        """True if a sequence may begin with what a slot holds."""
        return self._runner.reuses_prefixes

    @property
    def free(self) -> int:
        """Number of slots that no sequence uses."""
        return sum(not slot.busy for slot in self.slots)

    def cached(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, except the last, need not be read: the longest prefix that a slot holds."""
        return self._best(tokens)[1]

    def known(self, tokens: Sequence[int]) -> int:
        """As `cached`, or more, if the disk holds more."""
        return max(self.cached(tokens), len(self._stored(tokens)) * BLOCK)

    def fits(self, tokens: int) -> bool:
        """True if a sequence of so many tokens has room beside those that are running."""
        return tokens + sum(len(slot.tokens) for slot in self.slots if slot.busy) <= self._most

    def assign(self, tokens: Sequence[int]) -> Slot:
        """A free slot, from now on busy, that holds as much of the beginning of `tokens` as any slot does. There has to
        be one, and the sequence has to fit. Mutates the cache.

        A slot that holds more than that is copied, for the rest may be wanted again; unless it is the one used longest
        ago, or memory is too short for both. If the disk holds more, the slot awaits that.
        """
        best, shared = self._best(tokens)
        free = (slot for slot in self.slots if not slot.busy)
        slot = min(free, key=lambda slot: (bool(slot.tokens), slot.last_used))
        no_room = self._held() - len(slot.tokens) + shared > self._most
        if not best.busy and (len(best.tokens) == shared or no_room):
            slot = best
        if slot is best:
            self._cut(slot, shared)
        else:
            self._cut(slot, 0)
            self.make_room(shared, but=best)
            if shared:
                self.pending.append(partial(self._runner.copy, best.index, slot.index, shared))
        slot.tokens = list(tokens[:shared])
        slot.stored = self._stored(tokens)
        slot.awaited = slot.stored[shared // BLOCK :]
        if len(slot.stored) * BLOCK - shared < _WORTH_LOADING:
            slot.awaited = []
        self._clock += 1
        slot.busy, slot.last_used = True, self._clock
        return slot

    def make_room(self, positions: int, but: Slot | None = None) -> bool:
        """Drop idle slots, all `but` one, the one used longest ago first, until so many more can be held; false if
        that is not enough. Mutates the cache.
        """
        if self._held() + positions <= self._most:
            return True
        idle = (slot for slot in self.slots if slot.tokens and not slot.busy and slot is not but)
        for slot in sorted(idle, key=lambda slot: slot.last_used):
            self._cut(slot, 0)
            if self._held() + positions <= self._most:
                return True
        return False

    def drop_all(self) -> None:
        """Empty all slots, whatever is pending. Mutates the cache."""
        self.pending.clear()
        for slot in self.slots:
            for held in (slot.tokens, slot.stored, slot.awaited):
                held.clear()
            self.pending.append(partial(self._runner.truncate, slot.index, 0))

    def _held(self) -> int:
        return sum(len(slot.tokens) for slot in self.slots)

    def _cut(self, slot: Slot, kept: int) -> None:
        if len(slot.tokens) > kept:
            self.pending.append(partial(self._runner.truncate, slot.index, kept))
            del slot.tokens[kept:]
            del slot.stored[kept // BLOCK :]

    def _stored(self, tokens: Sequence[int]) -> list[Block]:
        """The blocks at the beginning of `tokens`, the last one not counted, that are on disk."""
        snapshots = self._runner.snapshots
        return [] if snapshots is None else snapshots.find(tokens[:-1])

    def _best(self, tokens: Sequence[int]) -> tuple[Slot, int]:
        """The slot that shares most of the beginning of `tokens`, and how much, the last token not counted. Of equal
        ones an idle slot comes first.
        """
        best, longest = self.slots[0], -1
        most = len(tokens) - 1 if self._runner.reuses_prefixes else 0
        for slot in sorted(self.slots, key=lambda slot: slot.busy):
            # one comparison rules out nearly all slots that share no more than the best one does
            better = longest < 0 or (
                longest < most and longest < len(slot.tokens) and slot.tokens[longest] == tokens[longest]
            )
            if better and (shared := min(common_prefix(slot.tokens, tokens), most)) > longest:
                best, longest = slot, shared
        return best, longest


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with."""
    block, length, most = 256, 0, min(len(a), len(b))
    while length < most and a[length : length + block] == b[length : length + block]:
        length += block
    while length < most and a[length] == b[length]:
        length += 1
    return min(length, most)
