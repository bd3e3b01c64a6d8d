"""Reads the text of a backend's answer: finds special tokens, calls and thoughts in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ...chat import ParserEvent
from ...formats.base import Piece
from ...formats.scanning.markers import SpecialTokenScanner
from ..output import Output
from .unread_tags import UnreadTagWatch


@dataclass(slots=True)
class TextReader:
    """Parses one stretch of text; `specials` finds the special tokens that the text spells out."""

    output: Output
    specials: SpecialTokenScanner
    unread_tags: UnreadTagWatch | None = None

    def feed(self, text: str) -> list[ParserEvent]:
        """Returns the events that become certain with `text`. Mutates the reader."""
        return self._watched(self._parse(self.specials.feed(text)))

    def finish(self, *, cut: bool) -> list[ParserEvent]:
        """Returns the last events; `cut` if the backend cut the text off. Mutates the reader."""
        return self._watched(self._parse(self.specials.flush()) + self.output.finish(cut=cut)[0])

    def _parse(self, pieces: Iterable[Piece]) -> list[ParserEvent]:
        return [event for piece in pieces for event in self.output.feed(piece)]

    def _watched(self, events: list[ParserEvent]) -> list[ParserEvent]:
        if self.unread_tags is not None:
            self.unread_tags.see(events)
        return events


ReaderFactory = Callable[[str, bool], TextReader]
"""Makes the reader of a text, given the backend's name of the model, and whether it sent thoughts before the text."""
