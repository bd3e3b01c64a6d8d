"""The contract of a drafter."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple, Protocol

DRAFT_ROWS = 32
"""Rows of one forward pass that drafts may fill up to, together with the rows of all sequences that are decoding."""


class Draft(NamedTuple):
    """A guess of an answer's next tokens, and the chance of each to be right if those before it are."""

    tokens: Sequence[int] = ()
    chances: Sequence[float] = ()


class Drafter(Protocol):
    """Guesses how one answer goes on. Each answer has an object of its own, which the event loop's thread calls.

    If `propose` raises, the answer ends with an error.
    """

    def propose(self, tokens: Sequence[int], most: int) -> Draft:
        """Up to `most` tokens that may follow `tokens`, the prompt and the answer so far; empty without a guess.

        `most` is at least 1. Mutates the drafter.
        """
        ...

    def judge(self, read: int, right: int, price: float) -> None:
        """A pass has verified the first `read` tokens of the last proposal, and accepted the first `right` of them.

        Without the draft, the time that it took would have given `price` tokens more. Mutates the drafter.
        """
        ...


def cut_before(draft: Draft, stop_tokens: Collection[int]) -> Draft:
    """The draft up to the first stop token: nothing follows one, so the row in front of it decides whether it comes."""
    for place, token in enumerate(draft.tokens):
        if token in stop_tokens:
            return Draft(draft.tokens[:place], draft.chances[:place])
    return draft
