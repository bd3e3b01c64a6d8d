"""The text of an answer: blanks at its edges and next to calls trimmed, fixed placeholders replaced."""

from __future__ import annotations

from collections.abc import Sequence

from ..chat import ParserEvent, TextDelta
from .scanning.markers import MarkerScanner


class TrailingBlanks:
    """Holds back the blanks at the end of a growing text until something follows them. Any number costs the same."""

    def __init__(self) -> None:
        self._held: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._held)

    def add(self, text: str) -> str:
        """What is certain with `text`: up to its last character that is no blank. Mutates."""
        solid = text.rstrip()
        if not solid:
            if text:
                self._held.append(text)
            return ""
        certain = self.take() + solid
        if len(solid) < len(text):
            self._held.append(text[len(solid) :])
        return certain

    def take(self) -> str:
        """The blanks held back, which are held no longer. Mutates."""
        blanks = "".join(self._held)
        self._held = []
        return blanks


class Content:
    """Collects an answer's text. Blanks are held back until text follows them, nothing else is."""

    def __init__(self, placeholders: Sequence[tuple[str, str]] = ()) -> None:
        self._placeholders = dict(placeholders)
        self._scanner = MarkerScanner(self._placeholders)
        self._blanks = TrailingBlanks()
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
        self._blanks.take()
        self._at_start = True
        return events

    def end(self, *, trim: bool) -> list[ParserEvent]:
        """The last events; `trim` drops the blanks at the end. Mutates this content."""
        events = self.pause()
        blanks = self._blanks.take()
        if blanks and not trim:
            events.append(TextDelta(blanks))
        return events

    def _emit(self, text: str) -> list[ParserEvent]:
        if self._at_start:
            text = text.lstrip()
            if not text:
                return []
            if self._started:
                text = "\n" + text
            self._at_start, self._started = False, True
        certain = self._blanks.add(text)
        return [TextDelta(certain)] if certain else []
