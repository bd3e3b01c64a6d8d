"""The latest answers: agents make the same calls, programs want the same form again, and people the same answer."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

MOST_KEPT = 16_384
"""Tokens that are kept."""
_PROMPT_END = 24  # tokens of a prompt, by which the beginning of its answer is found


class RecentAnswers:
    """Tokens from which the drafts of later answers are copied, too.

    They tell whoever counts the drafts that were right what others asked this server for. All who may ask it have the
    same key, or are on this machine.
    """

    def __init__(self) -> None:
        self.tokens = array("I")
        """The answers, the latest last, each behind the end of its prompt."""

    def add(self, tokens: Sequence[int], prompt_length: int) -> None:
        """Keep the answer that `tokens` hold behind the prompt. The earliest ones make room. Mutates the answers."""
        self.tokens.extend(tokens[max(0, prompt_length - _PROMPT_END) :])
        del self.tokens[:-MOST_KEPT]
