"""Drafts: guesses of an answer's next tokens, which one forward pass verifies together.

The rule is exact. A pass reads ``[last, d1 … dk]``; the token after `last` is sampled as always. If it equals d1 the
token after d1 is sampled from the next row, and so on; at the first difference the sampled token stands and the rest
of the draft is dropped. A row's logits do not depend on what else is in the pass, and the random number for a token
depends on its position alone. So the text is bit for bit that of plain decoding, whatever the draft.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

DRAFT_ROWS = 16
"""Rows of one forward pass that drafts may fill up to, together with the rows of all sequences that are decoding."""


class Drafter(Protocol):
    """Guesses how one answer goes on. Each answer has an object of its own, which the event loop's thread calls.

    If it raises, the answer ends with an error.
    """

    def propose(self, tokens: Sequence[int], most: int) -> Sequence[int]:
        """Up to `most` tokens that may follow `tokens`, the prompt and the answer so far; empty without a guess."""
        ...


def shares(decoding: int, drafting: int) -> int:
    """How many draft rows each of `drafting` sequences gets in a pass in which `decoding` sequences decode."""
    return max(0, DRAFT_ROWS - decoding) // drafting if drafting else 0


def cut_before(draft: Sequence[int], stop_tokens: Collection[int]) -> Sequence[int]:
    """The draft up to the first stop token: nothing follows one, so the row in front of it decides whether it comes."""
    return next((draft[:place] for place, token in enumerate(draft) if token in stop_tokens), draft)
