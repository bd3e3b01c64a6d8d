"""The text of an answer: blanks at its edges and next to calls trimmed, fixed placeholders replaced."""

from __future__ import annotations

from collections.abc import Sequence

from ..chat import ParserEvent, TextDelta
from .markers import MarkerScanner


class Content:
    """Collects an answer's text. Blanks are held back until text follows them, nothing else is."""

    def __init__(self, placeholders: Sequence[tuple[str, str]] = ()) -> None:
        self._placeholders = dict(placeholders)
        self._scanner = MarkerScanner(self._placeholders)
        self._blanks = ""
        self._at_start = True  # of a segment: its leading blanks belong to the layout
        self._started = False

    def add(self, text: str) -> list[ParserEvent]:
        """More text. Mutates this content."""
        return self._emit("".join(self._placeholders.get(part, part) for part, _ in self._scanner.feed(text)))

    def pause(self) -> list[ParserEvent]:
        """What the scanner still holds back is text after all, as something else follows. Mutates this content."""
        return self._emit(self._scanner.flush())

    def next_segment(self) -> list[ParserEvent]:
        """A new segment of the answer begins: its text goes on a new line. Mutates this content."""
        events = self.pause()
        self._blanks, self._at_start = "\n", True
        return events

    def end(self, *, trim: bool) -> list[ParserEvent]:
        """The last events; `trim` drops the blanks at the end. Mutates this content."""
        events = self.pause()
        if self._blanks and self._started and not trim and not self._at_start:
            events.append(TextDelta(self._blanks))
        self._blanks = ""
        return events

    def _emit(self, text: str) -> list[ParserEvent]:
        if self._at_start:
            text = text.lstrip()
            if not text:
                return []
            text = self._blanks + text if self._started else text
            self._at_start, self._started = False, True
        else:
            text = self._blanks + text
        solid = text.rstrip()
        self._blanks = text[len(solid) :]
        return [TextDelta(solid)] if solid else []
