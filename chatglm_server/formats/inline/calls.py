"""Calls written into plain text, without tags: ``NAME``, a line break and arguments (ChatGLM3, GLM-4).

What makes such text a call is a declared tool's name alone at the beginning of a line, followed by arguments in the
format's notation. Only what may still become a call is held back; what turns out not to be one is content, unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from ...chat import FinishReason, ParserEvent, Tool, ToolCallDelta, ToolCallStart, new_call_id, tool_names
from ...json_text import NotAnObject, dump_object
from ..base import Piece
from ..content import Content
from ..scanning.brackets import BracketScanner, FenceScanner
from .python_calls import read_interpreter_call

MAX_REJECTED = 32
"""A segment with more lines that look like calls and are none is prose: its rest is not searched.

Each such line costs another reading of what follows it; this bounds their number.
"""

FENCE = r"```[ \t]{0,4}\w{0,16}"
"""A fence that opens a block. The patterns have bounds on every repetition, for what may match is read again and again
while it grows."""
OBJECT = r"\{\s{0,64}[\"'}]"
"""How a JSON object or a Python dict begins; no other text in braces is waited for."""

_AFTER_CALL = regex.compile(r"\s{0,64}```(?P<next>\W)")


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
    role_tokens: frozenset[str] = frozenset()
    """Special tokens that end the answer; ``<|assistant|>`` begins another segment of it, others say nothing."""


class InlineCallParser:
    """Parser of one answer, which may have several segments, separated by ``<|assistant|>``."""

    def __init__(self, layout: CallLayout, tools: Sequence[Tool]) -> None:
        self._layout = layout
        self._names = [name for name in tool_names(tools) if name]
        offered = next((tool for name in layout.interpreter_tools for tool in tools if tool.name == name), None)
        self._interpreter = (offered.name, _code_parameter(offered)) if offered else None
        self._first_line = _head(layout, self._names, first_line=True)
        self._later_line = _head(layout, self._names, first_line=False)
        self._content = Content(layout.placeholders)
        self._calls = 0
        self._ended = False
        self._start_segment()

    def feed(self, piece: Piece) -> list[ParserEvent]:
        if self._ended:
            return []
        if isinstance(piece, str):
            return self._advance(piece) if self._searching else self._content.add(piece)
        if piece.name == "<|assistant|>":
            events = self._end_segment("stop") + self._content.next_segment()
            self._start_segment()
            return events
        return self.flush("stop") if piece.name in self._layout.role_tokens else []

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        if self._ended:
            return []
        self._ended = True
        return self._end_segment(reason) + self._content.end(trim=self._calls > 0)

    def _start_segment(self) -> None:
        self._searching = bool(self._names)
        self._rejected = 0
        self._state = self._line
        self._head = self._first_line
        self._held = ""  # a line's beginning that may yet be a call's
        self._call_head = ""
        self._body: list[str] = []

    def _end_segment(self, reason: FinishReason) -> list[ParserEvent]:
        events: list[ParserEvent] = []
        while self._state == self._in_body:
            # a block of code may do without its closing fence; arguments without their last bracket are cut off
            call = self._call() if self._is_code and reason != "length" else []
            events += call or self._advance(self._reject())
        held, self._held = self._held, ""
        if held and not (self._state == self._after_call and held.strip() in ("", "```")):
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
        self._is_code = not self._call_name
        self._scanner = FenceScanner() if self._is_code else BracketScanner()
        body = match.start("body")
        self._call_head = self._text[at:body]
        self._state = self._in_body
        return body, []

    def _in_body(self, at: int) -> tuple[int, list[ParserEvent]]:
        """A call's arguments, up to their last bracket."""
        end = self._scanner.feed(self._text, at)
        self._body.append(self._text[at:end])
        if end is None:
            return len(self._text), []
        events = self._call()
        if events:
            return end, events
        self._text = self._reject() + self._text[end:]
        return 0, []

    def _after_call(self, at: int) -> tuple[int, list[ParserEvent]]:
        """The fence that closes a call's arguments, if there is one, is no content; one that opens a block is."""
        at = self._take_held(at)
        match = _AFTER_CALL.match(self._text, at, partial=True)
        if match is not None and match.partial:
            return self._hold(at)
        self._state, self._head = self._line, self._later_line
        return (at if match is None else match.start("next")), []

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
            if self._is_code and self._interpreter:
                name, parameter = self._interpreter
                arguments = read_interpreter_call(body, parameter)
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
    declared = "|".join(regex.escape(name) for name in sorted(names, key=len, reverse=True)) or "(?!)"
    # the whole call may stand in a fence, if that names a language: one that does not may close a block before it
    in_fence = r"(?:```[ \t]{0,4}\w{1,16}[ \t]{0,16}\r?\n[ \t]{0,16})?"
    # the name may stand in backticks, or have the namespace that other models write
    name = rf"(?P<tick>`{{0,2}})(?:functions\.)?(?P<name>{declared})(?P=tick)"
    heads = [rf"{in_fence}{name}\s{{0,16}}(?P<body>{layout.body})"]
    line_end = r"[ \t]{0,16}\r?\n\s{0,16}"
    interpreters = [name for name in layout.interpreter_tools if name in names]
    if interpreters:
        # without a fence only in the layout's own place for the name; a later line may be prose
        code = r"\S" if first_line else rf"{FENCE}[ \t]{{0,16}}\r?\n"
        spellings = "|".join(map(regex.escape, {str(layout.interpreter), *interpreters}))
        heads.insert(0, rf"(?:{spellings}){line_end}(?P<body>{code})")
    if first_line and layout.undeclared_body:
        word = rf"(?!{layout.interpreter}[ \t]{{0,16}}\r?\n)(?P<undeclared>[\w/](?:[\w./:-]{{0,126}}\w)?)"
        heads.append(rf"{word}{line_end}(?P<body>{layout.undeclared_body})")
    else:
        heads.append(r"(?P<undeclared>(?!))")
    return regex.compile(rf"[ \t]{{0,16}}(?:{'|'.join(heads)})")


def _code_parameter(tool: Tool) -> str:
    """The argument that takes the interpreter's code."""
    parameters = tool.function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if isinstance(properties, dict) and len(properties) == 1:
        return str(next(iter(properties)))
    return "code"
