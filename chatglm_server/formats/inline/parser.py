"""Calls written into plain text, without tags: ``NAME``, a line break and arguments (ChatGLM3, GLM-4).

Such text is a call if a declared tool's name stands alone at the beginning of a line, followed by arguments in the
format's notation. Only what may still become a call is held back. What turns out to be text is content, unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Protocol

import regex

from ...chat import FinishReason, ParserEvent, Tool, ToolCallDelta, ToolCallStart, new_call_id
from ...json_text import NotAnObject, dump_object
from ..base import OutputParser, Piece
from ..content import Content
from ..scanning.brackets import BracketScanner, FenceScanner
from .layout import CallHeads, CallLayout
from .python_calls import read_interpreter_call

MAX_REJECTED = 32
"""A segment with more lines that look like calls and are not is prose: its rest is not searched.

Each such line costs another reading of what follows it. This bounds their number.
"""

_AFTER_CALL = regex.compile(r"\s{0,64}```(?P<next>\W)")


class TextParser(OutputParser, Protocol):
    """A parser whose text something else may interrupt."""

    @property
    def in_call(self) -> bool:
        """True if a call was begun, so that what follows belongs to its arguments."""
        ...

    def interrupt(self) -> list[ParserEvent]:
        """A call that this parser does not read follows. Returns what was held back. Mutates the parser."""
        ...


class InlineCallParser:
    """Parser of one answer, which may have several segments, separated by ``<|assistant|>``.

    `numbers` numbers the calls, if another parser numbers its calls with them, too. `exact` as for `CallHeads`.
    """

    def __init__(
        self, layout: CallLayout, tools: Sequence[Tool], numbers: Iterator[int] | None = None, *, exact: bool = False
    ) -> None:
        self._layout = layout
        self._heads = CallHeads(layout, tools, exact=exact)
        self._content = Content(layout.placeholders)
        self._numbers = numbers or count()
        self._called = False
        self._ended = False
        self._start_segment()

    @property
    def in_call(self) -> bool:
        return self._state == self._in_body

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
        return self._end_segment(reason) + self._content.end(trim=self._called)

    def interrupt(self) -> list[ParserEvent]:
        events = self._end_segment("length") + self._content.pause()
        self._next_line()
        return events

    def _start_segment(self) -> None:
        self._rejected = 0
        self._state = self._line
        self._head = self._heads.first_line
        self._searching = self._head is not None
        self._held = ""  # a line's beginning that may yet be a call's
        self._call_head = ""
        self._body: list[str] = []

    def _next_line(self) -> None:
        self._head = self._heads.later_line
        self._searching = self._head is not None and self._rejected < MAX_REJECTED
        self._state = self._line if self._searching else self._in_line

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

    # ---- states: each reads text from a position and returns the next position and what became certain ----

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
        text = self._text[at : newline + 1]
        self._next_line()
        return newline + 1, self._content.add(text)

    def _line(self, at: int) -> tuple[int, list[ParserEvent]]:
        """The beginning of a line, which may be a call's first."""
        at = self._take_held(at)
        match = self._head.match(self._text, at, partial=True) if self._head is not None else None
        if match is None:
            self._state = self._in_line
            return at, []
        if match.partial:
            return self._hold(at)
        if match["header"] is not None:
            self._state = self._in_line
            return match.end(), []
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
        """The fence that closes a call's arguments, if there is one, is dropped; one that opens a block is content."""
        at = self._take_held(at)
        match = _AFTER_CALL.match(self._text, at, partial=True)
        if match is not None and match.partial:
            return self._hold(at)
        self._next_line()
        return (at if match is None else match.start("next")), []

    def _hold(self, at: int) -> tuple[int, list[ParserEvent]]:
        self._held = self._text[at:]
        return len(self._text), []

    def _take_held(self, at: int) -> int:
        if self._held:
            self._text, self._held, at = self._held + self._text[at:], "", 0
        return at

    # ---- a call, or text ----

    def _call(self) -> list[ParserEvent]:
        """Returns the events of the call that was collected, or none if it is text."""
        body = "".join(self._body)
        try:
            if self._is_code and self._heads.interpreter:
                name = self._heads.interpreter.name
                arguments = read_interpreter_call(body, _code_parameter(self._heads.interpreter))
            else:
                name, arguments = self._call_name, self._layout.read(body)
            text = dump_object(arguments)
        except NotAnObject:
            return []
        events = self._content.pause()
        index = next(self._numbers)
        events += [ToolCallStart(index, new_call_id(), name), ToolCallDelta(index, text)]
        self._called = True
        self._body = []
        self._state = self._after_call
        return events

    def _reject(self) -> str:
        """Returns the collected text, which is read again from its second line on."""
        text = self._call_head + "".join(self._body)
        self._body, self._state = [], self._in_line
        self._rejected += 1
        self._searching = self._rejected < MAX_REJECTED
        return text


def _code_parameter(tool: Tool) -> str:
    """Returns the argument that takes the interpreter's code."""
    parameters = tool.function.get("parameters")
    properties = parameters.get("properties") if isinstance(parameters, dict) else None
    if isinstance(properties, dict) and len(properties) == 1:
        return str(next(iter(properties)))
    return "code"
