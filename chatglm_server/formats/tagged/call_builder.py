"""A tool call while it is being read: what it has sent, what was mended of it, and what becomes of it."""

from __future__ import annotations

from io import StringIO
from typing import Literal

from ...chat import ParserEvent, ToolCallDelta, ToolCallStart, new_call_id
from ..base import THINK_END, THINK_START
from ..tool_names import DeclaredTools
from ..values.writer import ArgumentWriter

CALL_START, CALL_END = "<tool_call>", "</tool_call>"

Part = tuple[str, bool]
"""Text, and whether it is a tag."""
Outcome = Literal["call", "text", "dropped"]


class CallBuilder:
    """The call, apart from how it is written.

    `outcome` is None until it is clear: a call, text that is none, or nothing at all. `leftover` then holds the parts
    that were read with it but come after it. The events of a declared tool's call go out as they arise; those of
    others only with the outcome, for an undeclared tool is called only by a call that is whole.
    """

    def __init__(self, tools: DeclaredTools, index: int) -> None:
        self.events: list[ParserEvent] = []
        self.repairs: list[str] = []
        self.leftover: list[Part] = []
        self.outcome: Outcome | None = None
        self.begun = False
        """Whether the call's start is among the events."""
        self.prose = ""
        """What the model said behind a call that is dropped, inside its tags."""
        self._tools = tools
        self._index = index
        self._raw = StringIO()
        self._raw.write(CALL_START)
        self._tag_at = 0  # where in the raw text the last tag begins

    @property
    def raw(self) -> str:
        """All that was read, but for what is left over."""
        return self._raw.getvalue()

    def _begin(self, name: str | None, written: str) -> bool:
        """The call of the tool `name` begins; None, where what is written is no name: it is no call."""
        if name is None:
            self._fail()
            return False
        if written != name:
            self._repaired("qualified name")
        self._declared = self._tools.declared(name) == name
        self._values = self._tools.values(name)
        self._writer = ArgumentWriter(self._values)
        self._sent = self.events if self._declared else []
        self._sent.append(ToolCallStart(self._index, new_call_id(), name))
        self.begun = self._declared
        return True

    def _write(self, text: str) -> None:
        if text:
            self._sent.append(ToolCallDelta(self._index, text))

    def _close_value(self, *, trim: bool = False) -> None:
        self._write(self._writer.close(trim=trim))

    def _finish(self) -> None:
        self._write(self._writer.end())
        self._conclude()

    def _conclude(self) -> None:
        if not self.begun:
            self.events += self._sent
            self.begun = True
        self.outcome = "call"

    def _finish_without_tag(self) -> None:
        """All arguments are closed and the call is not: it counts if nothing can be missing from it."""
        if not (self._declared and self._values.are_satisfied(self._writer.given)):
            return self._fail()
        self._repaired("missing </tool_call>")
        return self._finish()

    def _fail(self, tag: str | None = None) -> None:
        """It is no call. A tag that may begin something else is left over."""
        if tag in (CALL_START, THINK_START, THINK_END):
            self.leftover = [(tag, True)]
        if self.leftover:
            self._raw.truncate(self._tag_at)
        self.outcome = "text"

    def _repaired(self, what: str) -> None:
        if what not in self.repairs:
            self.repairs.append(what)
