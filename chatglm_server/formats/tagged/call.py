"""The call that is being built, and what its phases return: the next phase, or an outcome.

A declared tool's call is sent while it arrives, once a client could use it whatever follows: it has every required
argument, the last of them at least in part. Before that it is held back, for a stream cannot take back what it sent.
So a block that breaks off is text if nothing of it was sent, and else a call that ends with its last good argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import ClassVar, Literal, Protocol

from ...chat import FinishReason, ParserEvent, ToolCallDelta, ToolCallStart, new_call_id
from ..base import THINK_END, THINK_START
from ..tool_names import DeclaredTools
from ..values.argument_values import UNDECLARED
from ..values.writer import ArgumentWriter
from .tags import CALL_END, CALL_START, Part

_BROKEN_OFF = "arguments broken off"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of reading a block: a call, text, or nothing.

    `leftover` are parts that were read with the block but come after it. `prose` is text that the model wrote after
    it gave up the call, inside the call's tags.
    """

    kind: Literal["call", "text", "nothing"]
    leftover: Sequence[Part] = ()
    prose: str = ""


class Phase(Protocol):
    """A part of the call's grammar."""

    ends_call: ClassVar[bool]
    """True if the call may end here, so that a cut ``</tool_call>`` is the end and not text."""

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        """Reads text or a tag. Mutates the call."""
        ...

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        """The output ends here; `closing`: in the middle of ``</tool_call>``. Mutates the call."""
        ...


class Call:
    """The call so far: its name and arguments, the parts that were sent, and the repairs."""

    def __init__(self, tools: DeclaredTools, numbers: Iterator[int], *, may_stream: bool) -> None:
        self.tools = tools
        self.events: list[ParserEvent] = []
        self.repairs: list[str] = []
        self.index = -1
        """The call's number in the answer, once its start is among the events."""
        self.raw = StringIO()
        self.raw.write(CALL_START)
        self.tag_at = 0
        """The position of the last tag in the raw text."""
        self.values = UNDECLARED
        self.writer = ArgumentWriter(UNDECLARED)
        self._numbers = numbers
        self._may_stream = may_stream
        self._name = ""
        self._declared = False
        self._usable = False  # whether a client could use the call if it ended after the open argument
        self._unsent: list[str] = []

    @property
    def begun(self) -> bool:
        """True if the call's start was sent."""
        return self.index >= 0

    def start(self, name: str, written: str) -> None:
        """The call is one of the tool `name`, which the model wrote as `written`."""
        if written != name:
            self.repaired("qualified name")
        self._name = name
        self._declared = self.tools.declared(name) == name
        self.values = self.tools.values(name)
        self.writer = ArgumentWriter(self.values)

    def repaired(self, what: str) -> None:
        """Puts a repair on record, once."""
        if what not in self.repairs:
            self.repairs.append(what)

    # ---- arguments ----

    def open(self, key: str) -> None:
        """An argument begins."""
        if not self.writer.open(key):
            self.repaired("repeated argument")
        elif self.index < 0 and self._declared and self._may_stream and self.writer.streams:
            self._usable = self.values.are_satisfied(self.writer.given)

    def add(self, text: str) -> None:
        """More of the open argument."""
        out = self.writer.add(text)
        if out:
            self.send(out)

    def close(self, *, trim: bool = False) -> None:
        """The open argument ends; `trim`: without the blanks at its end."""
        out = self.writer.close(trim=trim)
        if self.writer.was_empty_object:
            self.repaired("empty value of an object")
        if out:
            self.send(out)

    def break_off_value(self) -> str:
        """The model did not close the open value: what was sent of it stays, and nothing more is sent.

        Returns the text after a ``</tool_call>`` in what was not sent, for that may be prose.
        """
        self.repaired(_BROKEN_OFF)
        unsent = self.writer.unsent
        out = self.writer.break_off()
        if out:
            self.send(out)
        return unsent.partition(CALL_END)[2]

    def send(self, arguments: str) -> None:
        """More of the arguments' JSON text."""
        if self.index >= 0:
            self.events.append(ToolCallDelta(self.index, arguments))
        else:
            self._unsent.append(arguments)
            if self._usable:
                self._begin()

    def _begin(self) -> None:
        self.index = next(self._numbers)
        self.events.append(ToolCallStart(self.index, new_call_id(), self._name))
        self.events += [ToolCallDelta(self.index, text) for text in self._unsent]
        self._unsent.clear()

    # ---- outcomes ----

    def finish(self, leftover: Sequence[Part] = (), prose: str = "") -> Outcome:
        """The call is whole."""
        self.send(self.writer.end())
        return self.conclude(leftover, prose)

    def conclude(self, leftover: Sequence[Part] = (), prose: str = "") -> Outcome:
        """The call is whole, and so is its JSON text."""
        if self.index < 0:
            self._begin()
        return Outcome("call", leftover, prose)

    def finish_unclosed(self, leftover: Sequence[Part] = ()) -> Outcome:
        """All arguments are closed and the call is not: it counts if nothing can be missing from it."""
        if not (self._declared and self.values.are_satisfied(self.writer.given)):
            return self.not_a_call(leftover)
        self.repaired("missing </tool_call>")
        return self.finish(leftover)

    def not_a_call(self, leftover: Sequence[Part] = ()) -> Outcome:
        """Nothing was sent, or the output was cut off: the block is text."""
        return Outcome("text", leftover)

    def leave(self, at: int, parts: Iterable[Part]) -> list[Part]:
        """The block ends at `at` in the raw text. Returns `parts`, without empty ones: they come after it."""
        self.raw.truncate(at)
        return [part for part in parts if part[0]]

    def broken(self, tag: str | None = None) -> Phase | Outcome:
        """The grammar has no place for `tag` (None: for the text that came last)."""
        leftover: list[Part] = []
        if tag in (CALL_START, THINK_START, THINK_END):
            leftover = self.leave(self.tag_at, [(tag, True)])
        if self.index < 0:
            return self.not_a_call(leftover)
        self.repaired(_BROKEN_OFF)
        return self.finish(leftover) if leftover or tag == CALL_END else Rest(self)

    def end_broken(self, reason: FinishReason, prose: str = "") -> Outcome:
        """The output ends inside the call, between two arguments."""
        if self.index < 0 or reason == "length":
            return self.not_a_call()
        self.repaired(_BROKEN_OFF)
        return self.finish(prose=prose)


class Rest:
    """Skips the rest of a broken block after a part of its call was sent."""

    ends_call: ClassVar[bool] = False

    def __init__(self, call: Call) -> None:
        self._call = call

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        if not is_tag or part not in (CALL_START, CALL_END, THINK_START, THINK_END):
            return self
        return self._call.finish([(part, True)] if part != CALL_END else [])

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._call.finish()
