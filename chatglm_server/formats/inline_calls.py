"""Calls written into plain text, without tags: ``NAME``, a line break and arguments (ChatGLM3, GLM-4).

What makes such text a call is a declared tool's name alone at the beginning of a line, followed by arguments in the
format's notation. Only what may still become a call is held back; what turns out not to be one is content, unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from ..chat import FinishReason, ParserEvent, Tool, ToolCallDelta, ToolCallStart, new_call_id, tool_names
from .arguments import NotAnObject, dump_object
from .base import Piece
from .brackets import BracketScanner, FenceScanner
from .content import Content
from .python_calls import read_interpreter_call

MAX_REJECTED = 32
"""An answer with more lines that look like calls and are none is prose: its rest is not searched."""

_AFTER_CALL = regex.compile(r"\s{0,64}```(?!\w)")


@dataclass(frozen=True, slots=True)
class CallLayout:
    """How a format writes calls. Patterns are regular expressions; ``(?P=name)`` in `body` is the tool's name."""

    body: str
    """How the arguments of a declared tool begin, with an optional fence, up to their first bracket."""
    read: Callable[[str], dict[str, Any]]
    """The arguments in a body; raises NotAnObject."""
    undeclared_body: str | None = None
    """The same for names nobody declared, which only the first line of a segment can hold; None: no call."""
    interpreter: str | None = None
    """The name before a block of code."""
    interpreter_tools: tuple[str, ...] = ()
    """Declared tools that such code is a call of."""
    placeholders: tuple[tuple[str, str], ...] = ()
    """Fixed texts that the model was trained to write in place of others."""


class InlineCallParser:
    """Parser of one answer. Segments are separated by ``<|assistant|>``; any other special token ends the answer."""

    def __init__(self, layout: CallLayout, tools: Sequence[Tool]) -> None:
        self._layout = layout
        names = tool_names(tools)
        self._searching = bool(names)
        self._first_line = _head(layout, names, first_line=True)
        self._later_line = _head(layout, names, first_line=False)
        self._interpreter_tool = next((name for name in layout.interpreter_tools if name in names), None)
        self._content = Content(layout.placeholders)
        self._calls = 0
        self._rejected = 0
        self._ended = False
        self._start_segment()

    def feed(self, piece: Piece) -> list[ParserEvent]:
        if self._ended:
            return []
        if isinstance(piece, str):
            return self._advance(piece) if self._searching else self._content.add(piece)
        events = self._end_segment("stop")
        if piece.name == "<|assistant|>":
            events += self._content.next_segment()
            self._start_segment()
            return events
        self._ended = True
        return events + self._end_content()

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        if self._ended:
            return []
        self._ended = True
        return self._end_segment(reason) + self._end_content()

    def _start_segment(self) -> None:
        self._state = self._line
        self._head = self._first_line
        self._held = ""  # a line's beginning that may yet be a call's
        self._call_head = ""
        self._body: list[str] = []

    def _end_content(self) -> list[ParserEvent]:
        return self._content.end(trim=self._calls > 0)

    def _end_segment(self, reason: FinishReason) -> list[ParserEvent]:
        events: list[ParserEvent] = []
        while self._state == self._in_body:
            if self._interpreter and reason != "length":
                events += self._call() or self._advance(self._reject())
            else:
                events += self._advance(self._reject())
        held, self._held = self._held, ""
        if held and not (self._state == self._after_call and held.isspace()):
            events += self._content.add(held)
        return events

    # ---- states: each takes text from a position and returns the next position and what became certain ----

    def _advance(self, text: str) -> list[ParserEvent]:
        events: list[ParserEvent] = []
        self._text, at = text, 0
        while at < len(self._text):
            at, certain = self._state(at)
            events += certain
        return events

    def _in_line(self, at: int) -> tuple[int, list[ParserEvent]]:
        """Content up to the line's end."""
        newline = self._text.find("\n", at) if self._searching else -1
        if newline < 0:
            return len(self._text), self._content.add(self._text[at:])
        self._state, self._head = self._line, self._later_line
        return newline + 1, self._content.add(self._text[at : newline + 1])

    def _line(self, at: int) -> tuple[int, list[ParserEvent]]:
        """A line begins: is it a call's first?"""
        at = self._take_held(at)
        match = self._head.match(self._text, at, partial=True)
        if match is None:
            self._state = self._in_line
            return at, []
        if match.partial:
            return self._hold(at)
        self._call_name = match["name"] or match["undeclared"] or ""
        self._interpreter = not self._call_name
        self._scanner = FenceScanner() if self._interpreter else BracketScanner()
        body = match.start("body")
        self._call_head = self._text[at:body]
        self._state = self._in_body
        return body, []

    def _in_body(self, at: int) -> tuple[int, list[ParserEvent]]:
        """A call's arguments, up to their last bracket."""
        text = self._text[at:]
        end = self._scanner.feed(text)
        if end is None:
            self._body.append(text)
            return len(self._text), []
        self._body.append(text[:end])
        events = self._call()
        if events:
            return at + end, events
        self._text = self._reject() + text[end:]
        return 0, []

    def _after_call(self, at: int) -> tuple[int, list[ParserEvent]]:
        """The fence that closes a call's arguments, if there is one, is no content."""
        at = self._take_held(at)
        match = _AFTER_CALL.match(self._text, at, partial=True)
        if match is not None and match.partial:
            return self._hold(at)
        self._state, self._head = self._line, self._later_line
        return (at if match is None else match.end()), []

    def _hold(self, at: int) -> tuple[int, list[ParserEvent]]:
        self._held = self._text[at:]
        return len(self._text), []

    def _take_held(self, at: int) -> int:
        if self._held:
            self._text, self._held, at = self._held + self._text[at:], "", 0
        return at

    # ---- a call, or not ----

    def _call(self) -> list[ParserEvent]:
        """The collected call's events; none if it is no call."""
        body = "".join(self._body)
        try:
            if self._interpreter:
                name, arguments = str(self._interpreter_tool), {"code": read_interpreter_call(body)}
            else:
                name, arguments = self._call_name, self._layout.read(body)
            text = dump_object(arguments)
        except NotAnObject:
            return []
        events = self._content.pause()
        events += [ToolCallStart(self._calls, new_call_id(), name), ToolCallDelta(self._calls, text)]
        self._calls += 1
        self._body = []
        self._state = self._after_call
        return events

    def _reject(self) -> str:
        """The collected text, to be read again from its second line on."""
        text = self._call_head + "".join(self._body)
        self._body, self._state = [], self._in_line
        self._rejected += 1
        self._searching = self._rejected < MAX_REJECTED
        return text


def _head(layout: CallLayout, names: Sequence[str], *, first_line: bool) -> Any:
    """Pattern of a call's beginning at the beginning of a line, up to the first bracket of its arguments."""
    declared = "|".join(regex.escape(name) for name in sorted(names, key=len, reverse=True))
    heads = [rf"[`*\"]{{0,3}}(?P<name>{declared})[`*\":]{{0,3}}\s{{0,16}}(?P<body>{layout.body})"]
    if first_line and layout.undeclared_body:
        word = r"(?P<undeclared>[A-Za-z_/][\w./:-]{0,127})"
        heads.append(rf"{word}[ \t]{{0,16}}\r?\n\s{{0,16}}(?P<body>{layout.undeclared_body})")
    else:
        heads.append(r"(?P<undeclared>(?!))")
    if any(name in names for name in layout.interpreter_tools):
        heads.insert(0, rf"{layout.interpreter}[ \t]{{0,16}}\r?\n\s{{0,16}}(?P<body>```\w*[ \t]*\n)")
    return regex.compile(rf"[ \t]{{0,16}}(?:{'|'.join(heads)})")
