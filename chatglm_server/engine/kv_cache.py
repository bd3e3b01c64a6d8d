"""Which cache a sequence gets: the one that spares it most reading, within a bound on memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from .base import Model


class Slot:
    """One of the model's caches: the tokens whose keys and values it holds, and whether a sequence is using it."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.tokens: list[int] = []
        self.busy = False
        self.last_used = 0
        self.reached = 0
        """Positions that have memory: all up to the furthest that was ever written."""

    def extend(self, tokens: Sequence[int]) -> None:
        """Note that `tokens` were read. Mutates the slot."""
        self.tokens += tokens
        self.reached = max(self.reached, len(self.tokens))


class KVCache:
    """All caches of a model. What it decides is done by `pending`, which are to be called before the next pass."""

    def __init__(self, model: Model, most_positions: int) -> None:
        """At most `most_positions`, over all slots, have memory."""
        self._model = model
        self._most = most_positions
        self._slots = [Slot(index) for index in range(model.slots)]
        self._clock = 0
        self.pending: list[Callable[[], None]] = []

    @property
    def free(self) -> int:
        """Slots that no sequence is using."""
        return sum(not slot.busy for slot in self._slots)

    def cached(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, but the last, need not be read: the longest prefix that a slot holds."""
        return max(self._shared(slot, tokens) for slot in self._slots)

    def assign(self, tokens: Sequence[int]) -> Slot:
        """A free slot, from now on busy, that holds as much of the beginning of `tokens` as any slot does. There has to
        be one. Mutates the cache.

        A slot that holds more than that is left as it is and copied, unless it is the one used longest ago: then
        what else it held is given up.
        """
        best = max(self._slots, key=lambda slot: (self._shared(slot, tokens), not slot.busy))
        shared = self._shared(best, tokens)
        oldest = min((slot for slot in self._slots if not slot.busy), key=lambda slot: slot.last_used)
        slot = best if not best.busy and len(best.tokens) == shared else oldest
        if slot is not best and shared:
            self.pending.append(partial(self._model.copy, best.index, slot.index, shared))
        slot.tokens = list(tokens[:shared])
        slot.extend(())
        self._clock += 1
        slot.busy, slot.last_used = True, self._clock
        return slot

    def fits(self, tokens: int) -> bool:
        """Whether a sequence of so many tokens has room beside those that are running."""
        return tokens + sum(slot.reached for slot in self._slots if slot.busy) <= self._most

    def make_room(self, parts: Sequence[tuple[Slot, int]]) -> bool:
        """Forget idle slots, the one used longest ago first, until each of `parts`, a slot and how many tokens it is to
        grow by, has room; false if that is not enough. Mutates the cache.
        """
        growth = sum(max(0, len(slot.tokens) + count - slot.reached) for slot, count in parts)
        idle = sorted((slot for slot in self._slots if not slot.busy and slot.reached), key=lambda slot: slot.last_used)
        excess = growth + sum(slot.reached for slot in self._slots) - self._most
        for slot in idle:
            if excess <= 0:
                break
            excess -= slot.reached
            slot.tokens, slot.reached = [], 0
            self.pending.append(partial(self._model.forget, slot.index))
        return excess <= 0

    def _shared(self, slot: Slot, tokens: Sequence[int]) -> int:
        if not self._model.reuses_prefixes:
            return 0
        return min(common_prefix(slot.tokens, tokens), len(tokens) - 1)


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens both begin with."""
    block, length, most = 256, 0, min(len(a), len(b))
    while length < most and a[length : length + block] == b[length : length + block]:
        length += block
    while length < most and a[length] == b[length]:
        length += 1
    return min(length, most)
