"""Ends an answer's content before the first stop string, however the text comes in pieces."""

from __future__ import annotations

from collections.abc import Sequence

from ..chat import ParserEvent, TextDelta, ToolCallAbandoned
from ..formats.scanning.markers import MarkerScanner


class StopStrings:
    """Filters events: holds back text that may be the beginning of a stop string; calls and thoughts pass."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._scanner = MarkerScanner(stop)
        self.found: str | None = None
        """The stop string that ended the content."""

    def feed(self, events: Sequence[ParserEvent]) -> list[ParserEvent]:
        """The events that may go out; none after a stop string is `found`. Mutates the filter."""
        passed: list[ParserEvent] = []
        for event in events:
            if self.found is not None:
                break
            if isinstance(event, TextDelta):
                passed += self._text(event.text)
            elif isinstance(event, ToolCallAbandoned):  # its text continues the content that is held back
                passed += [ToolCallAbandoned(event.index, ""), *self._text(event.text)]
            else:
                passed += [*self.flush(), event]
        return passed

    def flush(self) -> list[ParserEvent]:
        """The text held back, which did not become a stop string. Mutates the filter."""
        held = self._scanner.flush()
        return [TextDelta(held)] if held and self.found is None else []

    def _text(self, text: str) -> list[ParserEvent]:
        passed: list[ParserEvent] = []
        for part, is_stop in self._scanner.feed(text):
            if is_stop:
                self.found = part
                break
            passed.append(TextDelta(part))
        return passed
