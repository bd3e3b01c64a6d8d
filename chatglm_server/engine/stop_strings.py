"""Stop strings: an answer's content ends before the first of them, however it is cut into pieces."""

from __future__ import annotations

from collections.abc import Sequence

from ..chat import ParserEvent, TextDelta, ToolCallAbandoned
from ..formats.scanning.markers import MarkerScanner


class StopStrings:
    """Filters events: text that may begin a stop string is held back until it is clear; calls and thoughts pass."""

    def __init__(self, stop: Sequence[str]) -> None:
        self._scanner = MarkerScanner(stop)
        self.found = False

    def feed(self, events: Sequence[ParserEvent]) -> list[ParserEvent]:
        """The events that may go out; once `found`, there are no more. Mutates the filter."""
        passed: list[ParserEvent] = []
        for event in events:
            if self.found:
                break
            if isinstance(event, TextDelta):
                passed += self._text(event.text)
            elif isinstance(event, ToolCallAbandoned):  # its text is content, which began with what is held back
                passed += [ToolCallAbandoned(event.index, ""), *self._text(event.text)]
            else:
                passed += [*self.flush(), event]
        return passed

    def flush(self) -> list[ParserEvent]:
        """What was held back and is no stop string after all. Mutates the filter."""
        held = self._scanner.flush()
        return [TextDelta(held)] if held and not self.found else []

    def _text(self, text: str) -> list[ParserEvent]:
        passed: list[ParserEvent] = []
        for part, is_stop in self._scanner.feed(text):
            if is_stop:
                self.found = True
                break
            passed.append(TextDelta(part))
        return passed
