"""From the chunks of another server's answer to events: its text is parsed, its calls and thoughts pass as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...chat import (
    FinishReason,
    ParserEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallRepaired,
    ToolCallStart,
    Usage,
    new_call_id,
)
from ...errors import UpstreamFailure
from ...formats.base import Piece
from ...formats.scanning.markers import SpecialTokenScanner
from ...json_text import join_surrogates
from ..output import Output


@dataclass(slots=True)
class TextReader:
    """What a stretch of text goes through; `specials` finds the special tokens that are spelled out in it."""

    output: Output
    specials: SpecialTokenScanner

    def feed(self, text: str) -> list[ParserEvent]:
        return self._pass(self.specials.feed(text))

    def finish(self, *, cut: bool) -> list[ParserEvent]:
        return self._pass(self.specials.flush()) + self.output.finish(cut=cut)[0]

    def _pass(self, pieces: Iterable[Piece]) -> list[ParserEvent]:
        return [event for piece in pieces for event in self.output.feed(piece)]


@dataclass(slots=True)
class _Call:
    """One of the server's own calls; it starts once its name is there."""

    number: int | None = None
    id: str = ""
    arguments: str = ""  # as far as they came before the name
    empty: bool = True


class UpstreamAnswer:
    """One answer, chunk by chunk.

    `read_text` makes a reader for the text, given the model's name as the server has it and whether thoughts came by
    themselves before. Calls that the text holds and calls that come as such are numbered together, as they begin.
    """

    def __init__(self, read_text: Callable[[str, bool], TextReader]) -> None:
        self._read_text = read_text
        self._reader: TextReader | None = None
        self._thought = False
        self._text_calls: dict[int, int] = {}  # the reader's numbers → ours
        self._calls: dict[int, _Call] = {}  # by the server's index
        self._started = 0
        self._abandoned = 0
        self._reason: str | None = None
        self.usage = Usage()

    def feed(self, chunk: Mapping[str, Any]) -> list[ParserEvent]:
        """The events that become certain with `chunk`. Mutates the answer. Raises: UpstreamFailure."""
        if isinstance(chunk.get("usage"), dict):
            self.usage = _usage(chunk["usage"])
        events: list[ParserEvent] = []
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict) or choice.get("index") not in (0, None):
                continue
            part = choice.get("delta") or choice.get("message")
            text = [choice.get("text")]
            if isinstance(part, dict):
                events += self._thoughts(part.get("reasoning_content") or part.get("reasoning"))
                text = [part.get("content"), part.get("refusal")]
            model = chunk.get("model")
            for content in text:
                events += self._text(_as_text(content), model if isinstance(model, str) else "")
            if isinstance(part, dict):
                events += self._server_calls(part.get("tool_calls"))
            if isinstance(choice.get("finish_reason"), str):
                self._reason = choice["finish_reason"]
        return events

    @property
    def finished(self) -> bool:
        """Whether the server has said why it ended."""
        return self._reason is not None

    def finish(self) -> tuple[list[ParserEvent], FinishReason]:
        """The last events and the reason. Mutates the answer."""
        cut = self._reason in ("length", "content_filter")
        complete = self._reader is not None and self._reader.output.complete
        events = self._end_text(cut=cut)
        for call in self._calls.values():
            if call.number is None:
                events += [TextDelta(call.arguments)] if call.arguments else []
            elif call.empty and not cut:
                events.append(ToolCallDelta(call.number, "{}"))
        if cut and not complete:
            return events, "length" if self._reason == "length" else "content_filter"
        return events, "tool_calls" if self._started > self._abandoned else "stop"

    def _thoughts(self, text: object) -> list[ParserEvent]:
        if not isinstance(text, str) or not text:
            return []
        self._thought = True
        return [ReasoningDelta(join_surrogates(text))]

    def _text(self, text: str, model: str) -> list[ParserEvent]:
        if not text:
            return []
        if self._reader is None:
            self._reader = self._read_text(model, self._thought)
        return self._numbered(self._reader.feed(text))

    def _end_text(self, *, cut: bool) -> list[ParserEvent]:
        if self._reader is None:
            return []
        events = self._numbered(self._reader.finish(cut=cut))
        self._reader, self._text_calls = None, {}
        return events

    def _numbered(self, events: Iterable[ParserEvent]) -> list[ParserEvent]:
        """A reader's events under this answer's numbers."""
        result: list[ParserEvent] = []
        for event in events:
            if isinstance(event, ToolCallStart):
                self._text_calls[event.index] = self._next_number()
            if isinstance(event, ToolCallStart | ToolCallDelta | ToolCallRepaired | ToolCallAbandoned):
                event = replace(event, index=self._text_calls[event.index])
            self._abandoned += isinstance(event, ToolCallAbandoned)
            result.append(event)
        return result

    def _next_number(self) -> int:
        self._started += 1
        return self._started - 1

    def _server_calls(self, entries: object) -> list[ParserEvent]:
        events: list[ParserEvent] = []
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                events += self._server_call(entry)
        return events

    def _server_call(self, entry: Mapping[str, Any]) -> list[ParserEvent]:
        """A call or more of it. Servers have been seen to leave out the index, and to repeat id and name."""
        function = entry.get("function")
        if not isinstance(function, dict):
            if entry.get("type") not in (None, "function"):
                raise UpstreamFailure("the backend called a tool that is no function; that cannot be passed on")
            function = {}
        index = entry.get("index")
        if not isinstance(index, int):
            index = max(self._calls, default=-1) + (1 if entry.get("id") or function.get("name") else 0)
        call = self._calls.setdefault(index, _Call())
        call.id = call.id or _as_text(entry.get("id"))
        arguments = function.get("arguments")
        if isinstance(arguments, dict):
            arguments = json.dumps(arguments, ensure_ascii=False)
        more = join_surrogates(arguments) if isinstance(arguments, str) else ""
        events: list[ParserEvent] = []
        if call.number is None:
            name = _as_text(function.get("name"))
            if not name:
                call.arguments += more
                return []
            events = self._end_text(cut=False)
            call.number = self._next_number()
            events.append(ToolCallStart(call.number, call.id or new_call_id(), name))
            more, call.arguments = call.arguments + more, ""
        if more:
            call.empty = False
            events.append(ToolCallDelta(call.number, more))
        return events


def _as_text(content: object) -> str:
    """Content as text: a string, or the text parts of a list."""
    if isinstance(content, list):
        return "".join(_as_text(part.get("text")) for part in content if isinstance(part, dict))
    return join_surrogates(content) if isinstance(content, str) else ""


def _usage(usage: Mapping[str, Any]) -> Usage:
    """The server's counts; what else it says of usage is kept as it is."""
    counted = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens")}
    prompt, completion = (count if isinstance(count, int) else 0 for count in counted.values())
    parts = usage.get("prompt_tokens_details")
    cached = parts.get("cached_tokens") if isinstance(parts, dict) else 0
    details = {name: value for name, value in usage.items() if name not in counted and value is not None}
    return Usage(prompt, completion, cached if isinstance(cached, int) else 0, details)
