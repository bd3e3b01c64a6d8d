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
        """Returns what is certain with `text`: up to its last character that is not a blank. Mutates."""
        solid = text.rstrip()
        if not solid:
            if text:
                self._held.append(text)
            return ""
        certain = self.take() + solid if self._held else solid
        if len(solid) < len(text):
            self._held.append(text[len(solid) :])
        return certain

    def take(self) -> str:
        """Returns the blanks that were held back and lets go of them. Mutates."""
        blanks = "".join(self._held)
        self._held = []
        return blanks


class GrowingText:
    """A text that arrives in pieces. Blanks at its end are held back until something follows them."""

    def __init__(self, *, lead: str = "", trim_start: bool = False) -> None:
        """`lead` is what the layout puts before the text."""
        self._blanks = TrailingBlanks()
        self._lead = lead
        self._trim_start = trim_start
        self.started = False
        """True if the text holds more than blanks."""

    def add(self, text: str) -> str:
        """Returns what is certain with `text`. Mutates."""
        certain = self._blanks.add(text)
        if self.started or not certain:
            return certain
        self.started = True
        return certain.lstrip() if self._trim_start else certain.removeprefix(self._lead)

    def trim_start(self) -> None:
        """Blanks before the text are not part of it. Mutates."""
        self._trim_start = True

    def end(self, *, trim: bool) -> str:
        """Returns the blanks at the end, unless `trim` is set or the text holds nothing else. Mutates."""
        blanks = self._blanks.take()
        return "" if trim or not self.started else blanks


class Content:
    """Collects the content of an answer in segments. Blanks are held back until text follows them, nothing else is."""

    def __init__(self, placeholders: Sequence[tuple[str, str]] = ()) -> None:
        self._placeholders = dict(placeholders)
        self._scanner = MarkerScanner(self._placeholders)
        self._blanks = TrailingBlanks()
        self._at_start = True  # of a segment: its leading blanks belong to the layout
        self._started = False

    def add(self, text: str) -> list[ParserEvent]:
        """Returns what is certain with `text`. Mutates."""
        return self._emit("".join(self._placeholders.get(part, part) for part, _ in self._scanner.feed(text)))

    def pause(self) -> list[ParserEvent]:
        """Something else follows, so what may be the beginning of a placeholder is text. Mutates."""
        return self._emit(self._scanner.flush())

    def next_segment(self) -> list[ParserEvent]:
        """A new segment of the answer begins: its text goes on a new line. Mutates."""
        events = self.pause()
        self._blanks.take()
        self._at_start = True
        return events

    def end(self, *, trim: bool) -> list[ParserEvent]:
        """Returns the last events; `trim` drops the blanks at the end. Mutates."""
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
