"""Reasoning in front of an answer, for prompts that end inside ``<think>`` (GLM-Z1)."""

from __future__ import annotations

from ..chat import FinishReason, ParserEvent, ReasoningDelta
from .base import OutputParser, Piece
from .markers import MarkerScanner

THINK_END = "</think>"


class ThinkingParser:
    """Gives all before the first ``</think>`` as reasoning, blanks around it trimmed, and the rest to `answer`."""

    def __init__(self, answer: OutputParser) -> None:
        self._answer = answer
        self._scanner = MarkerScanner([THINK_END])
        self._thinking = True
        self._started = False
        self._blanks = ""

    def feed(self, piece: Piece) -> list[ParserEvent]:
        if not self._thinking or not isinstance(piece, str):
            return self._end_thinking() + self._answer.feed(piece)
        events: list[ParserEvent] = []
        for text, is_marker in self._scanner.feed(piece):
            if not self._thinking:
                events += self._answer.feed(text)
            elif is_marker:
                events += self._end_thinking()
            else:
                events += self._reason(text)
        return events

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        return self._end_thinking() + self._answer.flush(reason)

    def _end_thinking(self) -> list[ParserEvent]:
        if not self._thinking:
            return []
        self._thinking = False
        held = self._scanner.flush()
        return self._reason(held) if held else []

    def _reason(self, text: str) -> list[ParserEvent]:
        text = self._blanks + text if self._started else text.lstrip()
        solid = text.rstrip()
        self._blanks = text[len(solid) :]
        self._started = self._started or bool(solid)
        return [ReasoningDelta(solid)] if solid else []
