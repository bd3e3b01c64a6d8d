"""From the fragments of one choice of a backend's answer to events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from ...chat import (
    FinishReason,
    ParserEvent,
    ReasoningDelta,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallRepaired,
    ToolCallStart,
)
from .calls import BackendCalls
from .text_reader import ReaderFactory, TextReader


class BackendChoice:
    """Parses the text of one choice; passes on the calls and thoughts that the backend sends as such.

    Calls of both kinds are numbered together, in the order in which they begin. Without `parallel_tool_calls` only the
    first one goes out: many backends do not know that field.
    """

    def __init__(self, make_reader: ReaderFactory, *, parallel_tool_calls: bool = True) -> None:
        self._make_reader = make_reader
        self._parallel_tool_calls = parallel_tool_calls
        self._reader: TextReader | None = None
        self._calls = BackendCalls()
        self._started = 0
        self._abandoned = 0
        self._text_numbers: dict[int, int] = {}  # the reader's numbers of calls → ours
        self._call_numbers: dict[int, int] = {}  # the same for the backend's own calls
        self._thoughts_came = False
        self._reason: str | None = None
        self.stop_string: str | None = None
        """The stop string that ended this choice, from servers that say it as vLLM does."""

    @property
    def finished(self) -> bool:
        """True if the backend has said why this choice ended."""
        return self._reason is not None

    def feed(self, choice: Mapping[str, Any], model: str) -> list[ParserEvent]:
        """Returns the events that become certain with `choice`, an entry of a chunk's `choices`. Mutates this.

        `model` is the backend's name of the model, or "". Raises: UpstreamFailure.
        """
        events: list[ParserEvent] = []
        message = choice.get("delta") or choice.get("message")
        texts = [choice.get("text")]
        if isinstance(message, dict):
            events += self._thoughts(message.get("reasoning_content") or message.get("reasoning"))
            texts = [message.get("content"), message.get("refusal")]
        for text in texts:
            events += self._text(_as_text(text), model)
        entries = message.get("tool_calls") if isinstance(message, dict) else None
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict):
                events += self._call(entry)
        if isinstance(choice.get("finish_reason"), str):
            self._reason = choice["finish_reason"]
            stop = choice.get("stop_reason")  # a token id, if one of `stop_token_ids` did
            self.stop_string = stop if isinstance(stop, str) else None
        return events

    def finish(self) -> tuple[list[ParserEvent], FinishReason]:
        """Returns the last events and the reason. Mutates this."""
        cut = self._reason in ("length", "content_filter")
        complete = self._reader is not None and self._reader.output.complete
        events = self._end_text(cut=cut) + self._renumber(self._calls.finish(cut=cut), self._call_numbers)
        if cut and not complete:
            return events, "length" if self._reason == "length" else "content_filter"
        return events, "tool_calls" if self._started > self._abandoned else "stop"

    def _thoughts(self, text: object) -> list[ParserEvent]:
        if not isinstance(text, str) or not text:
            return []
        self._thoughts_came = True
        return [ReasoningDelta(text)]

    def _text(self, text: str, model: str) -> list[ParserEvent]:
        if not text:
            return []
        if self._reader is None:
            self._reader = self._make_reader(model, self._thoughts_came)
        return self._renumber(self._reader.feed(text), self._text_numbers)

    def _end_text(self, *, cut: bool) -> list[ParserEvent]:
        if self._reader is None:
            return []
        events = self._renumber(self._reader.finish(cut=cut), self._text_numbers)
        self._reader, self._text_numbers = None, {}
        return events

    def _call(self, entry: Mapping[str, Any]) -> list[ParserEvent]:
        fragments = self._calls.feed(entry)
        events: list[ParserEvent] = []
        if any(isinstance(event, ToolCallStart) for event in fragments):
            events = self._end_text(cut=False)  # what the text before the call held back goes out first
        return events + self._renumber(fragments, self._call_numbers)

    def _renumber(self, events: Iterable[ParserEvent], numbers: dict[int, int]) -> list[ParserEvent]:
        """Gives the calls in `events` their numbers in this choice; leaves out a call too many. Mutates `numbers`."""
        result: list[ParserEvent] = []
        for event in events:
            if isinstance(event, ToolCallStart) and (self._parallel_tool_calls or self._started == self._abandoned):
                numbers[event.index] = self._started
                self._started += 1
            if isinstance(event, ToolCallStart | ToolCallDelta | ToolCallRepaired | ToolCallAbandoned):
                if event.index not in numbers:
                    continue
                event = replace(event, index=numbers[event.index])
            self._abandoned += isinstance(event, ToolCallAbandoned)
            result.append(event)
        return result


def _as_text(content: object) -> str:
    """Content as text: a string, or the text parts of a list."""
    if isinstance(content, list):
        return "".join(_as_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""
