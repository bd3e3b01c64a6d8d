"""The tags of a call, and the gaps between them."""

from __future__ import annotations

import re

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
KEY_START, KEY_END = "<arg_key>", "</arg_key>"
VALUE_START, VALUE_END = "<arg_value>", "</arg_value>"
CALL_TAGS = (CALL_START, CALL_END, KEY_START, KEY_END, VALUE_START, VALUE_END)

Part = tuple[str, bool]
"""Text, and whether it is a tag."""

_GAP = re.compile(r"(?:\s|\\n)*")
_GAP_BACKWARDS = re.compile(r"(?:\s|n\\)*")


class Gap:
    """Blanks between tags, however they are cut. Models also write a line break as the two characters ``\\n``."""

    __slots__ = ("backslash",)

    def __init__(self) -> None:
        self.backslash = False
        """True if the text so far ends with a backslash, which may begin a ``\\n``."""

    def skip(self, text: str) -> str:
        """Returns the rest of `text` after the gap; "" while the gap may go on. Mutates the gap."""
        if self.backslash:
            text = "\\" + text
        rest = text[_length(_GAP, text) :]
        self.backslash = rest == "\\"
        return "" if self.backslash else rest


def stripped(text: str) -> str:
    """Returns `text` without the gaps around it."""
    if text.isidentifier():  # as nearly all names are
        return text
    text = text[_length(_GAP, text) :]
    return text[: len(text) - _length(_GAP_BACKWARDS, text[::-1])]


def _length(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0
