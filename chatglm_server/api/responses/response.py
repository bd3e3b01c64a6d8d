"""The answer of the Responses API: the events of its stream, the last of which holds the whole response.

A whole answer is the end of the same stream.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from typing_extensions import assert_never

from ...answer import Answer, TextTokens
from ...chat import (
    AnswerEvent,
    AnswerWritten,
    Finish,
    FinishReason,
    PromptRead,
    ReasoningDelta,
    TextDelta,
    TokenSampled,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallRepaired,
    ToolCallStart,
    Usage,
)
from ...errors import ChatGLMServerError
from ..dialect import AnswerShape, Json, StreamEvent
from ..openai.logprobs import chat_logprobs
from ..openai.objects import answer_head
from .items import CallItem, CustomCallItem, Item, MessageItem, Status, TextItem, ThoughtItem
from .tools import OfferedTools

_INCOMPLETE: dict[FinishReason, str] = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer needs of its request.

    `echo` are the fields that the response repeats. `summary`: a thought is sent as its summary. `sealed`: it is sent
    as ``encrypted_content`` too.
    """

    echo: Json
    tools: OfferedTools
    summary: bool = False
    sealed: bool = False


class ResponseAnswer(AnswerShape):
    """The answer to one request. One item is open at a time."""

    def __init__(self, asked: Asked, model: str) -> None:
        self._asked = asked
        head = answer_head("resp_", model)
        self._head: Json = {"id": head["id"], "object": "response", "created_at": head["created"], "model": model}
        self._output: list[Json] = []  # the items that are done
        self._item: Item | None = None
        self._number = 0
        self._reason: FinishReason = "stop"
        self._running = False
        self._tokens = TextTokens()

    # ---- as a stream ----

    def begin(self, prompt_tokens: int) -> Iterator[StreamEvent]:
        self._running = True
        for name in ("created", "in_progress"):
            yield self._event({"type": f"response.{name}", "response": self._response("in_progress")})

    def waiting(self) -> StreamEvent | None:
        """Codex counts the seconds between events, and comments are none."""
        if not self._running:
            return None
        return self._event({"type": "response.in_progress", "response": self._response("in_progress")})

    def add(self, event: AnswerEvent) -> Iterator[StreamEvent]:
        """The events that `event` becomes. Mutates the shape."""
        tokens = self._tokens.add(event)
        if isinstance(event, TextDelta):
            yield from self._add_text(event.text, tokens)
        elif isinstance(event, ReasoningDelta):
            if not isinstance(self._item, ThoughtItem):
                yield from self._open(ThoughtItem(as_summary=self._asked.summary, sealed=self._asked.sealed))
            yield from self._grow(event.text)
        elif isinstance(event, ToolCallStart):
            tool = self._asked.tools.called(event.name)
            yield from self._open((CustomCallItem if tool.custom else CallItem)(tool, event.id))
        elif isinstance(event, ToolCallDelta):
            yield from self._grow(event.arguments)
        elif isinstance(event, ToolCallAbandoned):
            yield from self._close("incomplete")
            yield from self._add_text(event.text, tokens)
        elif isinstance(event, Finish):
            self._reason = event.reason
            cut = event.reason in _INCOMPLETE and isinstance(self._item, TextItem)  # a call that was cut is abandoned
            yield from self._close("incomplete" if cut else "completed")
        elif not isinstance(event, ToolCallRepaired | TokenSampled | PromptRead | AnswerWritten):  # no place for these
            assert_never(event)

    def end(self, usage: Usage) -> Iterator[StreamEvent]:
        """The whole response, as the event that says how it ended."""
        self._running = False
        response = self._whole(usage)
        yield self._event({"type": f"response.{response['status']}", "response": response})

    def failed(self, error: ChatGLMServerError) -> StreamEvent:
        """The whole response with `error`. Codex reads nothing else as an error."""
        self._running = False
        said = {"code": error.code or "server_error", "message": error.message}
        return self._event({"type": "response.failed", "response": self._response("failed") | {"error": said}})

    # ---- whole ----

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The response to a client that does not stream. Needs a finished answer."""
        (answer,) = answers
        finish = answer.finished()
        events: list[AnswerEvent] = []
        if answer.reasoning:
            events.append(ReasoningDelta(answer.reasoning))
        events += [*answer.text_tokens, TextDelta(answer.content)]
        for index, call in enumerate(answer.tool_calls):
            events += [ToolCallStart(index, call.id, call.name), ToolCallDelta(index, call.arguments)]
        for event in (*events, finish):
            for _ in self.add(event):
                pass
        return self._whole(finish.usage)

    # ---- parts ----

    def _add_text(self, text: str, tokens: Sequence[TokenSampled]) -> Iterator[StreamEvent]:
        if not text:
            return
        if not isinstance(self._item, MessageItem):
            yield from self._open(MessageItem())
        likely = chat_logprobs(tokens)
        yield from self._grow(text, likely["content"] if likely else ())

    def _open(self, item: Item) -> Iterator[StreamEvent]:
        yield from self._close("completed")
        self._item = item
        yield self._item_event({"type": "response.output_item.added", "item": item.object("in_progress")})
        yield from map(self._item_event, item.open())

    def _grow(self, text: str, logprobs: Sequence[Json] = ()) -> Iterator[StreamEvent]:
        if self._item is not None:
            yield from map(self._item_event, self._item.add(text, logprobs))

    def _close(self, status: Status) -> Iterator[StreamEvent]:
        if self._item is None:
            return
        yield from map(self._item_event, self._item.close(status))
        done = self._item.object(status)
        yield self._item_event({"type": "response.output_item.done", "item": done})
        self._output.append(done)
        self._item = None

    def _item_event(self, data: Json) -> StreamEvent:
        return self._event(data | {"output_index": len(self._output)})

    def _event(self, data: Json) -> StreamEvent:
        numbered = data | {"sequence_number": self._number}
        self._number += 1
        return StreamEvent(numbered, str(data["type"]))

    def _whole(self, usage: Usage) -> Json:
        why = _INCOMPLETE.get(self._reason)
        response = self._response("incomplete" if why else "completed") | {"usage": usage_object(usage)}
        return response | ({"incomplete_details": {"reason": why}} if why else {"completed_at": int(time.time())})

    def _response(self, status: Literal["in_progress", "completed", "incomplete", "failed"]) -> Json:
        """The response so far. Clients demand every key, null ones too."""
        return {
            **self._head,
            "status": status,
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "output": list(self._output),
            "usage": None,
            **self._asked.echo,
        }


def usage_object(usage: Usage) -> Json:
    """The Responses API's `usage`. Codex demands every count."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }
