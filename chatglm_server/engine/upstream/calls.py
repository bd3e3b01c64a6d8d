"""Reads the calls that a backend sends as `tool_calls`."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...chat import ParserEvent, TextDelta, ToolCallDelta, ToolCallStart, new_call_id
from ...errors import UpstreamFailure
from ...formats.scanning.brackets import BracketScanner

MAX_CALLS = 1000
"""Limit for the calls of one choice: each takes more memory than the bytes that began it."""


@dataclass(slots=True)
class _Call:
    """One call, as far as it has come. `number` counts calls in the order in which they start."""

    number: int = 0
    id: str = ""
    name: str = ""
    held_arguments: list[str] = field(default_factory=list)  # have not gone out
    empty: bool = True  # no arguments have come
    whole: bool = False  # the last bracket of the arguments has come
    brackets: BracketScanner = field(default_factory=BracketScanner)

    def add(self, arguments: str) -> None:
        if arguments:
            self.held_arguments.append(arguments)
            self.empty = False
            self.whole = self.whole or self.brackets.feed(arguments) is not None


class BackendCalls:
    """The `tool_calls` of one choice, fragment by fragment.

    A call starts once its name is known and the call before it is whole: some servers mix the fragments of several.
    Some leave out the index or repeat id and name in every fragment; both are read as meant.
    """

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}  # by the backend's index
        self._waiting: deque[_Call] = deque()  # have a name, and have not started
        self._open: _Call | None = None  # the one that started last
        self._last_index = -1
        self._started = 0

    def feed(self, entry: Mapping[str, Any]) -> list[ParserEvent]:
        """Returns the events of one entry of `tool_calls`. Mutates this.

        Raises: UpstreamFailure for tools that are not functions, and for too many calls.
        """
        function = entry.get("function")
        if not isinstance(function, dict):
            if entry.get("type") not in (None, "function"):
                raise UpstreamFailure("the backend called a tool that is not a function; this server cannot pass it on")
            function = {}
        index = self._index(entry, function)
        if index not in self._calls and len(self._calls) == MAX_CALLS:
            raise UpstreamFailure(f"the backend made more than {MAX_CALLS} calls in one answer")
        self._last_index = max(self._last_index, index)
        call = self._calls.setdefault(index, _Call())
        call.id = call.id or _text(entry.get("id"))
        if not call.name and (name := _text(function.get("name"))):
            call.name = name
            self._waiting.append(call)
        arguments = function.get("arguments")
        call.add(_text(json.dumps(arguments, ensure_ascii=False) if isinstance(arguments, dict) else arguments))
        events = self._more()
        while self._waiting and (self._open is None or self._open.whole):
            events += self._start()
        return events

    def finish(self, *, cut: bool) -> list[ParserEvent]:
        """Returns the last events: ``{}`` for calls without arguments, and as text what never got a name."""
        events = self._rest(cut=cut)
        while self._waiting:
            events += [*self._start(), *self._rest(cut=cut)]
        nameless = "".join("".join(call.held_arguments) for call in self._calls.values() if not call.name)
        return events + ([TextDelta(nameless)] if nameless else [])

    def _start(self) -> list[ParserEvent]:
        call = self._open = self._waiting.popleft()
        call.number, self._started = self._started, self._started + 1
        return [ToolCallStart(call.number, call.id or new_call_id(), call.name), *self._more()]

    def _more(self) -> list[ParserEvent]:
        """The arguments of the open call that have come since the last time."""
        call = self._open
        if call is None or not call.held_arguments:
            return []
        more, call.held_arguments = "".join(call.held_arguments), []
        return [ToolCallDelta(call.number, more)]

    def _rest(self, *, cut: bool) -> list[ParserEvent]:
        """The arguments of the open call if none have come. Of a call that was `cut` nobody knows them."""
        call = self._open
        return [ToolCallDelta(call.number, "{}")] if call is not None and call.empty and not cut else []

    def _index(self, entry: Mapping[str, Any], function: Mapping[str, Any]) -> int:
        index = entry.get("index")
        if isinstance(index, int):
            return index
        return self._last_index + (1 if entry.get("id") or function.get("name") else 0)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
