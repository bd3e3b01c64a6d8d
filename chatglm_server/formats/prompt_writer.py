"""Collects the pieces of a prompt, and notes where the earlier answers stand in it."""

from __future__ import annotations

from collections.abc import Iterable

from ..chat import Message
from .base import EarlierAnswer, Piece, Prompt, Special

ASSISTANT = Special("<|assistant|>")


class PromptWriter:
    """Writes a conversation from front to back."""

    def __init__(self, *pieces: Piece) -> None:
        self._pieces: list[Piece] = []
        self._answers: list[EarlierAnswer] = []
        self.add(*pieces)

    def add(self, *pieces: Piece) -> None:
        """Append pieces; empty ones are left out. Mutates the writer."""
        self._pieces += (piece for piece in pieces if piece != "")

    def add_answer(self, message: Message, pieces: Iterable[Piece], *, keeps_thought: bool = False) -> None:
        """Append an earlier answer, the pieces of which begin with ``<|assistant|>``, or none. Mutates the writer."""
        start = len(self._pieces) + 1
        self.add(*pieces)
        if len(self._pieces) >= start:
            self._answers.append(EarlierAnswer(message, start, len(self._pieces), keeps_thought))

    def prompt(self, *opening: Piece) -> Prompt:
        """The conversation, and the `opening` of the next answer behind ``<|assistant|>``."""
        self.add(ASSISTANT, *opening)
        return Prompt(tuple(self._pieces), tuple(self._answers))
