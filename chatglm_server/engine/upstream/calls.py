"""Reads the calls that a backend sends as `tool_calls`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...chat import ParserEvent, TextDelta, ToolCallDelta, ToolCallStart, new_call_id
from ...errors import UpstreamFailure

MAX_CALLS = 1000
"""Limit for the calls of one choice: each takes more memory than the bytes that began it."""


@dataclass(slots=True)
class _Call:
    """One call. It starts once its name is known."""

    number: int | None = None  # in the order in which calls start
    id: str = ""
    held_arguments: list[str] = field(default_factory=list)  # came before the name
    empty: bool = True


class BackendCalls:
    """The `tool_calls` of one choice, fragment by fragment.

    Some servers leave out the index or repeat id and name in every fragment; both are read as meant.
    """

    def __init__(self) -> None:
        self._calls: dict[int, _Call] = {}  # by the backend's index
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
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        more = _text(arguments)
        events: list[ParserEvent] = []
        if call.number is None:
            name = _text(function.get("name"))
            if not name:
                call.held_arguments.append(more)
                return []
            call.number, self._started = self._started, self._started + 1
            events.append(ToolCallStart(call.number, call.id or new_call_id(), name))
            more = "".join(call.held_arguments) + more
        if more:
            call.empty = False
            events.append(ToolCallDelta(call.number, more))
        return events

    def finish(self, *, cut: bool) -> list[ParserEvent]:
        """Returns the last events: ``{}`` for calls without arguments, and as text what never got a name."""
        events: list[ParserEvent] = []
        for call in self._calls.values():
            if call.number is None:
                held = "".join(call.held_arguments)
                events += [TextDelta(held)] if held else []
            elif call.empty and not cut:
                events.append(ToolCallDelta(call.number, "{}"))
        return events

    def _index(self, entry: Mapping[str, Any], function: Mapping[str, Any]) -> int:
        index = entry.get("index")
        if isinstance(index, int):
            return index
        return self._last_index + (1 if entry.get("id") or function.get("name") else 0)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
