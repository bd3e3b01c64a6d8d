"""Finds fixed strings in a stream of text. Certain text goes on at once; a possible beginning is held back."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..base import Piece, Special


class MarkerScanner:
    """Cuts a stream of text at fixed strings, however it arrives. Text without a beginning of one costs one search."""

    def __init__(self, markers: Iterable[str]) -> None:
        markers = sorted(markers, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, markers)) or "(?!)")
        self._starts = re.compile(f"[{re.escape(''.join({marker[0] for marker in markers}))}]" if markers else "(?!)")
        self._beginnings = frozenset(marker[:end] for marker in markers for end in range(1, len(marker)))
        self._longest = max(map(len, markers), default=1)
        self._held = ""

    def feed(self, text: str) -> list[tuple[str, bool]]:
        """Returns (text, is a marker) in order, for all that is certain by now. Mutates the scanner."""
        if self._held:
            text, self._held = self._held + text, ""
        if self._starts.search(text) is None:
            return [(text, False)] if text else []
        found: list[tuple[str, bool]] = []
        start = 0
        for match in self._pattern.finditer(text):
            if match.start() > start:
                found.append((text[start : match.start()], False))
            found.append((match.group(), True))
            start = match.end()
        end = self._beginning(text, start)
        if end > start:
            found.append((text[start:end], False))
        self._held = text[end:]
        return found

    def flush(self) -> str:
        """Returns the text that is still held back. Mutates the scanner."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str, start: int) -> int:
        """Returns where the longest end of `text[start:]` begins that may become a marker."""
        for match in self._starts.finditer(text, max(start, len(text) - self._longest + 1)):
            if text[match.start() :] in self._beginnings:
                return match.start()
        return len(text)


class SpecialTokenScanner:
    """Turns recorded model text, in which special tokens are spelled out, into pieces.

    Engines that know the token ids do not need it. It finds only names in angle brackets: ``sop`` is part of common
    words, and the text may be about ``[MASK]``.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._scanner = MarkerScanner(name for name in names if name.startswith("<"))

    def feed(self, text: str) -> list[Piece]:
        return [Special(part) if is_marker else part for part, is_marker in self._scanner.feed(text)]

    def flush(self) -> list[Piece]:
        held = self._scanner.flush()
        return [held] if held else []
