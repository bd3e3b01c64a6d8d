"""Random choice with a split: a `Draw` for training never sees the words that a `Draw` for measuring uses."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

from .words import SPLICED

T = TypeVar("T")

HELD_OUT_EVERY = 6
"""Every sixth entry of a bank is kept for measuring."""

_ONSETS = ["b", "br", "c", "ch", "d", "dr", "f", "fl", "g", "gr", "h", "j", "k", "kl", "l", "m", "n", "p", "pl", "qu", "r", "s", "sh", "sk", "st", "t", "tr", "v", "w", "y", "z"]  # fmt: skip  # noqa: E501
_VOWELS = ["a", "e", "i", "o", "u", "a", "e", "i", "o", "u", "ai", "ea", "io", "ou"]
_CODAS = ["", "", "", "n", "r", "s", "l", "x", "m", "t", "nd", "rk"]


class Draw(random.Random):
    """A seeded random source that knows which part of the word banks it may use."""

    def __init__(self, seed: int, held_out: bool = False) -> None:
        super().__init__(seed)
        self.held_out = held_out

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random() < probability

    def word(self, bank: Sequence[T]) -> T:
        """An entry of this side's part of a bank; of a bank too small to be split, any entry."""
        while len(bank) >= HELD_OUT_EVERY:
            index = self.randrange(len(bank))
            if (index % HELD_OUT_EVERY == HELD_OUT_EVERY - 1) == self.held_out:
                return bank[index]
        return self.choice(bank)

    def pair(self, bank: Sequence[T]) -> tuple[T, T]:
        """Two entries of training's part of a bank; which two are drawn together is split as well."""
        part = len(bank) - len(bank) % HELD_OUT_EVERY
        while True:
            first, second = self.randrange(part), self.randrange(part)
            if first == second or HELD_OUT_EVERY - 1 in (first % HELD_OUT_EVERY, second % HELD_OUT_EVERY):
                continue
            if ((first // HELD_OUT_EVERY + second) % HELD_OUT_EVERY == 0) == self.held_out:
                return bank[first], bank[second]

    def weighted(self, options: Sequence[tuple[float, Callable[[], T]]]) -> T:
        """The result of one of the functions, drawn by weight."""
        (chosen,) = self.choices([make for _, make in options], [weight for weight, _ in options])
        return chosen()

    def invents(self, share: float) -> bool:
        """True if an invented word takes the place of one of a bank, so that training has to learn to copy.

        Never for measuring, which has the held-out words.
        """
        return not self.held_out and self.chance(share)

    def syllables(self, low: int = 2, high: int = 3) -> str:
        """An invented word of `low` to `high` syllables; in training, also one spliced from two known words."""
        if self.invents(0.5):
            head, tail = self.choice(SPLICED), self.choice(SPLICED)
            return head[: self.randint(2, 4)] + tail[-self.randint(2, 4) :]
        count = self.randint(low, high)
        return "".join(self.choice(_ONSETS) + self.choice(_VOWELS) + self.choice(_CODAS) for _ in range(count))

    def hanzi(self, bank: str, low: int = 2, high: int = 3) -> str:
        """An invented Chinese word out of the characters of `bank`, now and then with one that no bank holds."""
        return "".join(
            chr(self.randint(0x4E00, 0x9FA5)) if self.chance(0.04) else self.choice(bank)
            for _ in range(self.randint(low, high))
        )
