"""Finding fixed strings in a stream of text: what is certain goes on at once, a possible beginning is held back."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .base import Piece, Special


def partial_suffix(text: str, markers: Iterable[str]) -> int:
    """Length of the longest end of `text` that begins one of `markers` without completing it."""
    longest = 0
    for marker in markers:
        for length in range(min(len(marker) - 1, len(text)), longest, -1):
            if marker.startswith(text[-length:]):
                longest = length
                break
    return longest


class MarkerScanner:
    """Cuts a stream of text at fixed strings, however it arrives."""

    def __init__(self, markers: Iterable[str]) -> None:
        self._markers = tuple(sorted(markers, key=len, reverse=True))
        self._pattern = re.compile("|".join(map(re.escape, self._markers))) if self._markers else None
        self._held = ""

    def feed(self, text: str) -> list[tuple[str, bool]]:
        """(text, is a marker) in order, for all that is certain by now. Mutates the scanner."""
        if self._pattern is None:
            return [(text, False)] if text else []
        text, self._held = self._held + text, ""
        found: list[tuple[str, bool]] = []
        start = 0
        for match in self._pattern.finditer(text):
            found += [(text[start : match.start()], False), (match.group(), True)]
            start = match.end()
        held = partial_suffix(text[start:], self._markers)
        found.append((text[start : len(text) - held], False))
        self._held = text[len(text) - held :]
        return [(part, is_marker) for part, is_marker in found if part]

    def flush(self) -> str:
        """The text still held back. Mutates the scanner."""
        held, self._held = self._held, ""
        return held


class SpecialTokenScanner:
    """Turns recorded model text, in which special tokens are spelled out, into pieces.

    For text alone: an engine that knows the token ids gives its special tokens as such. Only names in angle brackets
    are looked for: ``sop`` is part of common words, and ``[MASK]`` may be what the text is about.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._scanner = MarkerScanner(name for name in names if name.startswith("<"))

    def feed(self, text: str) -> list[Piece]:
        return [Special(part) if is_marker else part for part, is_marker in self._scanner.feed(text)]

    def flush(self) -> list[Piece]:
        held = self._scanner.flush()
        return [held] if held else []
