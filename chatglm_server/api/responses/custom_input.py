"""The plain text of a custom tool's input, out of the JSON arguments of the function that the model calls."""

from __future__ import annotations

import json
import re
from typing import Any

from ...json_text import NotAnObject, join_surrogates, load_object

INPUT = "input"
"""The one argument."""

_HEAD = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
_LONGEST_HEAD = 64
_CHARACTERS = re.compile(
    r'(?:[^"\\]|\\["\\/bfnrt]|\\u(?![dD][89abAB])[0-9a-fA-F]{4}|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[0-9a-fA-F]{4})*'
)
"""Whole ones: the two halves of a surrogate pair are one."""
_LONGEST_ESCAPE = len("\\ud83d\\ude00")


class InputReader:
    """Reads the text while the JSON text arrives in pieces."""

    def __init__(self) -> None:
        self._rest: str | None = ""  # not yet read; None: nothing more is read
        self._inside = False

    def add(self, arguments: str) -> str:
        """More of the JSON text. Returns the text that is certain by now. Mutates the reader."""
        if self._rest is None:
            return ""
        self._rest += arguments
        if not self._inside:
            head = _HEAD.match(self._rest)
            if head is None:
                self._rest = self._rest if len(self._rest) < _LONGEST_HEAD else None
                return ""
            self._inside, self._rest = True, self._rest[head.end() :]
        characters = _CHARACTERS.match(self._rest)
        text = characters[0] if characters else ""
        rest = self._rest[len(text) :]
        self._rest = None if rest.startswith('"') or len(rest) >= _LONGEST_ESCAPE else rest
        return join_surrogates(json.loads(f'"{text}"', strict=False))


def custom_arguments(text: str) -> dict[str, Any]:
    """The arguments of a call with the input `text`."""
    return {INPUT: text}


def custom_input(arguments: str) -> str:
    """The input in the JSON text of a call's arguments, or all of the text if it holds none."""
    try:
        text = load_object(arguments).get(INPUT)
    except NotAnObject:
        return arguments
    return join_surrogates(text) if isinstance(text, str) else arguments
