"""A whole answer that is a JSON object with a call's name and arguments, as fine-tuned GLM-4 models write calls.

{"name": "NAME", "arguments": {…}}
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

import regex

from ...chat import FinishReason, ParserEvent, Tool, ToolCallDelta, ToolCallStart, new_call_id
from ...json_text import NotAnObject, dump_object
from ..base import Piece
from ..scanning.brackets import BracketScanner
from .named_object import read_named_object
from .parser import TextParser


class LoneObjectParser:
    """Reads an answer that is nothing but such an object, perhaps in a fence, as a call of the declared tool.

    Any other answer goes to `answer`, as soon as it no longer begins like one. The object itself is held back until
    the model ends its turn, because more text would show that it is content. `ends` are the tokens that end an answer.
    """

    def __init__(
        self, answer: TextParser, tools: Sequence[Tool], ends: frozenset[str], numbers: Iterator[int] | None = None
    ) -> None:
        self._answer = answer
        self._ends = ends
        self._numbers = numbers or count()
        names = [tool.name for tool in tools if tool.name]
        self._head = _head(names)
        self._deciding = bool(names)
        self._held: list[str] = []
        self._scanner: BracketScanner | None = None  # once the object has begun
        self._object: list[str] = []
        self._closed = False
        self._marks = ""  # that follow the object, without blanks
        self._last_marks: tuple[str, ...] = ("",)

    @property
    def in_call(self) -> bool:
        if not self._deciding:
            return self._answer.in_call
        return self._scanner is not None and not self._closed

    def feed(self, piece: Piece) -> list[ParserEvent]:
        if not self._deciding:
            return self._answer.feed(piece)
        if not isinstance(piece, str):
            return self.flush("stop") if piece.name in self._ends else self._give_up() + self._answer.feed(piece)
        self._held.append(piece)
        if self._scanner is None:
            text = "".join(self._held)
            match = self._head.match(text, partial=True)
            if match is None:
                return self._give_up()
            if match.partial:
                return []
            self._scanner, piece = BracketScanner(), text[match.start("object") :]
            self._last_marks = ("", "```") if match["fence"] else ("",)
        if not self._closed:
            end = self._scanner.feed(piece)
            self._object.append(piece[:end])
            if end is None:
                return []
            self._closed, piece = True, piece[end:]
        self._marks += "".join(piece.split())
        return [] if any(marks.startswith(self._marks) for marks in self._last_marks) else self._give_up()

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        events: list[ParserEvent] = []
        if self._deciding and self._closed and self._marks in self._last_marks and reason != "length":
            events = self._call()
        if not events:
            events = self._give_up()
        self._deciding = False
        return events + self._answer.flush(reason)

    def interrupt(self) -> list[ParserEvent]:
        return self._give_up() + self._answer.interrupt()

    def _call(self) -> list[ParserEvent]:
        """Returns the call's events, or none if the object is content."""
        try:
            name, arguments = read_named_object("".join(self._object))
            text = dump_object(arguments)
        except NotAnObject:
            return []
        index = next(self._numbers)
        return [ToolCallStart(index, new_call_id(), name), ToolCallDelta(index, text)]

    def _give_up(self) -> list[ParserEvent]:
        """The text held back belongs to some other answer."""
        self._deciding = False
        held, self._held = "".join(self._held), []
        return self._answer.feed(held) if held else []


def _head(names: Sequence[str]) -> Any:
    """Pattern of the object's beginning, up to its arguments."""
    blanks = r"\s{0,64}"
    declared = "|".join(map(regex.escape, names))
    members = rf'"name"{blanks}:{blanks}"(?:{declared})"{blanks},{blanks}"(?:arguments|parameters)"'
    return regex.compile(rf"{blanks}(?P<fence>```(?:json)?{blanks})?(?P<object>\{{{blanks}{members})")
