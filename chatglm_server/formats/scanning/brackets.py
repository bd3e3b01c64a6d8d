"""Finds the end of a bracketed expression, or of a block of code, while its text arrives."""

from __future__ import annotations

import re

_OPEN, _CLOSE = "([{", ")]}"
_CODE = re.compile(r"[()\[\]{}'\"#]")
_IN_STRING = {quote: re.compile(rf"[\\{quote}]") for quote in "'\""}


class BracketScanner:
    """Follows an expression (JSON, or a Python call) to the bracket that closes its first one.

    Brackets in strings (with single, double and triple quotes and backslash escapes) and in Python's comments do not
    count. Each character is read once.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""  # of the string we are in: one or three characters
        self._opening = ""  # quotes seen so far of a string that may yet turn out to be triple-quoted
        self._closing = 0  # closing quotes seen so far of a triple-quoted string
        self._escaped = False
        self._comment = False

    @property
    def in_string(self) -> bool:
        """True if the text read last is inside a string."""
        return bool(self._quote) or len(self._opening) == 1

    def feed(self, text: str, at: int = 0) -> int | None:
        """Reads `text` from `at` on. Returns the position after the bracket that closes the expression, or None.

        Mutates the scanner.
        """
        while at < len(text):
            if self._opening:
                at = self._open_string(text, at)
            elif self._quote:
                at = self._string(text, at)
            elif self._comment:
                newline = text.find("\n", at)
                if newline < 0:
                    return None
                self._comment, at = False, newline
            else:
                match = _CODE.search(text, at)
                if match is None:
                    return None
                at = match.end()
                char = match.group()
                if char in _OPEN:
                    self._depth += 1
                elif char in _CLOSE:
                    self._depth -= 1
                    if self._depth <= 0:
                        return at
                elif char == "#":
                    self._comment = True
                else:
                    self._opening = char
        return None

    def _open_string(self, text: str, at: int) -> int:
        quote, char = self._opening, text[at]
        if char == quote[0]:
            self._opening += char
            if len(self._opening) == 3:
                self._quote, self._opening, self._closing = self._opening, "", 0
            return at + 1
        # one quote began a string, two were an empty string; `char` is read next in both cases
        self._quote, self._opening, self._closing = (quote if len(quote) == 1 else ""), "", 0
        return at

    def _string(self, text: str, at: int) -> int:
        if self._escaped:
            self._escaped = False
            return at + 1
        match = _IN_STRING[self._quote[0]].search(text, at)
        if match is None:
            self._closing = 0
            return len(text)
        if match.start() > at:
            self._closing = 0
        if match.group() == "\\":
            self._escaped, self._closing = True, 0
        else:
            self._closing += 1
            if self._closing == len(self._quote):
                self._quote, self._closing = "", 0
        return match.end()


class FenceScanner:
    """Follows a block of code to the fence at a line start that closes it. The first line may be the opening fence."""

    def __init__(self) -> None:
        self._ticks = -1  # of a fence that may be beginning: how many so far; -1 in the middle of a line

    def feed(self, text: str, at: int = 0) -> int | None:
        """Reads `text` from `at` on. Returns the position after the closing fence, or None.

        Mutates the scanner.
        """
        while at < len(text):
            if self._ticks < 0:
                at = text.find("\n", at) + 1
                if not at:
                    return None
                self._ticks = 0
                continue
            self._ticks = self._ticks + 1 if text[at] == "`" else 0 if text[at] == "\n" else -1
            at += 1
            if self._ticks == 3:
                return at
        return None
