"""Where a bracketed expression ends, found while its text arrives."""

from __future__ import annotations

import re

_OPEN, _CLOSE = "([{", ")]}"
_CODE = re.compile(r"[()\[\]{}'\"]")


class BracketScanner:
    """Follows an expression (JSON, or a Python call) to the bracket that closes its first one.

    Knows strings in single, double and triple quotes with backslash escapes, so that a bracket in a string does not
    count. Each character is looked at once.
    """

    def __init__(self) -> None:
        self._depth = 0
        self._quote = ""  # of the string we are in: one or three characters
        self._opening = ""  # quotes seen so far of a string that may yet turn out to be triple-quoted
        self._closing = 0  # closing quotes seen so far of a triple-quoted string
        self._escaped = False

    def feed(self, text: str) -> int | None:
        """Position in `text` after the bracket that closes the expression; None if that is still to come."""
        at = 0
        while at < len(text):
            if self._opening:
                at = self._open_string(text, at)
            elif self._quote:
                at = self._string(text, at)
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
                else:
                    self._opening = char
        return None

    @property
    def is_at_top(self) -> bool:
        """Whether the text so far ends directly inside the first bracket: in no inner one, and in no string."""
        return self._depth == 1 and not self._quote and len(self._opening) != 1

    def _open_string(self, text: str, at: int) -> int:
        quote, char = self._opening, text[at]
        if char == quote[0]:
            self._opening += char
            if len(self._opening) == 3:
                self._quote, self._opening, self._closing = self._opening, "", 0
            return at + 1
        # one quote began a string; two were an empty string. Either way `char` is yet to be read.
        self._quote, self._opening = (quote, "") if len(quote) == 1 else ("", "")
        return at

    def _string(self, text: str, at: int) -> int:
        char = text[at]
        if self._escaped:
            self._escaped = False
        elif char == "\\":
            self._escaped, self._closing = True, 0
        elif char == self._quote[0]:
            self._closing += 1
            if self._closing == len(self._quote):
                self._quote, self._closing = "", 0
        else:
            self._closing = 0
        return at + 1


class FenceScanner:
    """Follows a block of code to the fence at a line start that closes it."""

    def __init__(self) -> None:
        self._line = ""  # the beginning of the current line, as far as it may still be a fence

    def feed(self, text: str) -> int | None:
        """Position in `text` after the closing fence; None if that is still to come."""
        for at, char in enumerate(text):
            if char == "\n":
                self._line = "\n"
            elif self._line:
                self._line = self._line + char if char == "`" else ""
                if self._line == "\n```":
                    return at + 1
        return None
