"""Reasoning in front of an answer (GLM-Z1): everything up to the first ``</think>``."""

from __future__ import annotations

from ..chat import FinishReason, ParserEvent, ReasoningDelta, TextDelta
from .base import THINK_END, THINK_START, OutputParser, Piece
from .content import TrailingBlanks
from .scanning.markers import MarkerScanner


class ThinkingParser:
    """Takes the reasoning out of an answer, trims blanks around it, and gives the rest to `answer`.

    The answer begins as reasoning if the prompt ended inside it (`inside`), else only if it starts with ``<think>``.
    A start that repeats the prompt's is dropped, and so is a second end.
    """

    def __init__(self, answer: OutputParser, *, inside: bool) -> None:
        self._answer = answer
        self._inside = inside
        self._state = self._opening
        self._held = ""  # a beginning of the start tag
        self._end = MarkerScanner([THINK_END])
        self._stray = MarkerScanner([THINK_END])
        self._thought = inside
        self._started = False
        self._blanks = TrailingBlanks()

    def feed(self, piece: Piece) -> list[ParserEvent]:
        if isinstance(piece, str):
            return self._state(piece)
        return self._settle() + self._without_stray_ends(self._answer.feed(piece))

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        events = self._settle() + self._without_stray_ends(self._answer.flush(reason))
        held = self._stray.flush()
        return [*events, TextDelta(held)] if held else events

    def _settle(self) -> list[ParserEvent]:
        """The text held back is not a tag, and the reasoning has ended."""
        events: list[ParserEvent] = []
        if self._state == self._opening:
            held, self._held = self._held, ""
            self._state = self._thinking if self._inside else self._answering
            events += self._state(held)
        if self._state == self._thinking:
            events += self._reason(self._end.flush())
            self._state = self._answering
        return events

    # ---- states: each reads text and returns the events that became certain ----

    def _opening(self, text: str) -> list[ParserEvent]:
        """Reads leading blanks, which are dropped, and perhaps the start tag."""
        text = (self._held + text).lstrip()
        self._held = ""
        if text.startswith(THINK_START):
            self._thought, self._state = True, self._thinking
            return self._thinking(text.removeprefix(THINK_START))
        if THINK_START.startswith(text):
            self._held = text
            return []
        self._state = self._thinking if self._inside else self._answering
        return self._state(text)

    def _thinking(self, text: str) -> list[ParserEvent]:
        events: list[ParserEvent] = []
        for part, is_end in self._end.feed(text):
            if self._state == self._answering:
                # the answer gets to see a second end in the same text, as it would in the next
                events += self._answering(part)
            elif is_end:
                self._state = self._answering
            else:
                events += self._reason(part)
        if self._state == self._answering:
            events += self._answering(self._end.flush())
        return events

    def _answering(self, text: str) -> list[ParserEvent]:
        return self._without_stray_ends(self._answer.feed(text)) if text else []

    def _without_stray_ends(self, events: list[ParserEvent]) -> list[ParserEvent]:
        if not self._thought:
            return events
        kept: list[ParserEvent] = []
        for event in events:
            if isinstance(event, TextDelta):
                kept += [TextDelta(text) for text, is_end in self._stray.feed(event.text) if not is_end]
            else:
                held = self._stray.flush()
                kept += [TextDelta(held), event] if held else [event]
        return kept

    def _reason(self, text: str) -> list[ParserEvent]:
        if not self._started:
            text = text.lstrip()
            self._started = bool(text)
        certain = self._blanks.add(text)
        return [ReasoningDelta(certain)] if certain else []
