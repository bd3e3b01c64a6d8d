"""Anthropic's messages: an answer whole, or as the events of a stream.

Source of the events and their order: https://docs.anthropic.com/en/api/messages-streaming, and the accumulator of
anthropic-sdk-python. A block is opened, filled and closed before the next; its index is its place in the message.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from io import StringIO

from typing_extensions import assert_never

from ...answer import Answer, AnsweredCall
from ...chat import (
    AnswerEvent,
    AnswerWritten,
    Finish,
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
from ...json_text import NotAnObject, load_object
from ...log_once import log_once
from ..dialect import AnswerShape, Json, StreamEvent
from .thoughts import signature


class MessageAnswer(AnswerShape):
    """The answer to one request.

    `max_tokens` is the request's limit, which tells whether it or the context ended an answer. `shows_thoughts`:
    thoughts come with their text.
    """

    def __init__(self, model: str, *, max_tokens: int | None, shows_thoughts: bool) -> None:
        self._model = model
        self._id = "msg_" + secrets.token_hex(12)
        self._max_tokens = max_tokens
        self._shows_thoughts = shows_thoughts
        self._blocks = 0  # opened so far
        self._open: str | None = None  # the type of the last one, unless it is closed
        self._calls: dict[int, int] = {}  # the number of a call → its block's index
        self._blanks = ""  # at the beginning of a text: no block, if nothing follows
        self._thought = StringIO()

    # ---- whole ----

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The response to a client that does not stream. Needs a finished answer."""
        (answer,) = answers
        finish = answer.finished()
        content: list[Json] = []
        if answer.reasoning:
            shown = answer.reasoning if self._shows_thoughts else ""
            signed = signature(answer.reasoning, shown=self._shows_thoughts)
            content.append({"type": "thinking", "thinking": shown, "signature": signed})
        if answer.content.strip():
            content.append({"type": "text", "text": answer.content})
        content += [_tool_use(call) for call in answer.tool_calls]
        return self._message(content, finish.usage) | self._stop(finish)

    # ---- as a stream ----

    def begin(self, prompt_tokens: int) -> Iterator[StreamEvent]:
        """How much of the prompt is in the KV cache turns out later: the end of the stream says it."""
        message = self._message([], Usage(prompt_tokens)) | {"stop_reason": None, "stop_sequence": None}
        yield _event("message_start", message=message)
        yield self.waiting()

    def add(self, event: AnswerEvent) -> Iterator[StreamEvent]:
        """The events that `event` becomes. Mutates the shape."""
        if isinstance(event, TextDelta | ToolCallAbandoned):  # an abandoned call is text: nothing may be lost
            yield from self._text(event.text)
        elif isinstance(event, ReasoningDelta):
            yield from self._reason(event.text)
        elif isinstance(event, ToolCallStart):
            yield from self._start({"type": "tool_use", "id": _call_id(event.id), "name": event.name, "input": {}})
            self._calls[event.index] = self._blocks - 1
        elif isinstance(event, ToolCallDelta):
            yield _delta(self._calls[event.index], "input_json_delta", partial_json=event.arguments)
        elif isinstance(event, Finish):
            yield from self._close()
            yield _event("message_delta", delta=self._stop(event), usage=_usage(event.usage))
        elif not isinstance(event, TokenSampled | ToolCallRepaired | PromptRead | AnswerWritten):
            assert_never(event)  # the API has no events for those

    def waiting(self) -> StreamEvent:
        return _event("ping")

    def end(self, usage: Usage) -> Iterator[StreamEvent]:
        yield _event("message_stop")

    def _text(self, text: str) -> Iterator[StreamEvent]:
        if self._open != "text":
            text = self._blanks + text
            if not text.strip():
                self._blanks = text
                return
            yield from self._start({"type": "text", "text": ""})
        if text:
            yield _delta(self._blocks - 1, "text_delta", text=text)

    def _reason(self, text: str) -> Iterator[StreamEvent]:
        if self._open != "thinking":
            yield from self._start({"type": "thinking", "thinking": "", "signature": ""})
        self._thought.write(text)
        if self._shows_thoughts:
            yield _delta(self._blocks - 1, "thinking_delta", thinking=text)

    def _start(self, block: Json) -> Iterator[StreamEvent]:
        yield from self._close()
        yield _event("content_block_start", index=self._blocks, content_block=block)
        self._open, self._blanks = block["type"], ""
        self._blocks += 1

    def _close(self) -> Iterator[StreamEvent]:
        if self._open is None:
            return
        index = self._blocks - 1
        if self._open == "thinking":
            signed = signature(self._thought.getvalue(), shown=self._shows_thoughts)
            self._thought = StringIO()
            yield _delta(index, "signature_delta", signature=signed)
        yield _event("content_block_stop", index=index)
        self._open = None

    # ---- both ----

    def _message(self, content: list[Json], usage: Usage) -> Json:
        head = {"id": self._id, "type": "message", "role": "assistant", "model": self._model}
        return head | {"content": content, "usage": _usage(usage)}

    def _stop(self, finish: Finish) -> Json:
        reason = self._reason_of(finish)
        return {"stop_reason": reason, "stop_sequence": finish.stop_string if reason == "stop_sequence" else None}

    def _reason_of(self, finish: Finish) -> str:
        """Claude Code asks for more after "max_tokens". More is of no use where the context is full."""
        if finish.reason == "tool_calls":
            return "tool_use"
        if finish.reason == "length":
            limit, written = self._max_tokens or 0, finish.usage.completion_tokens
            if limit > 0 and (written >= limit or not written):  # 0 if another server has not counted
                return "max_tokens"
            log_once("answers were cut off because the context was full (--context-length)")
            return "model_context_window_exceeded"
        return "end_turn" if finish.stop_string is None else "stop_sequence"


def _tool_use(call: AnsweredCall) -> Json:
    try:
        arguments = load_object(call.arguments)
    except NotAnObject:  # another server's
        arguments = {"arguments": call.arguments} if call.arguments else {}
    return {"type": "tool_use", "id": _call_id(call.id), "name": call.name, "input": arguments}


def _call_id(id_: str) -> str:
    return f"toolu_{id_.removeprefix('call_')}"


def _usage(usage: Usage) -> Json:
    """The counts of the prompt add up to its length. Claude Code compacts the conversation by their sum."""
    return {
        "input_tokens": usage.prompt_tokens - usage.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _delta(index: int, kind: str, **fields: str) -> StreamEvent:
    return _event("content_block_delta", index=index, delta={"type": kind, **fields})


def _event(kind: str, **fields: object) -> StreamEvent:
    """An event, whose name clients need beside its type."""
    return StreamEvent({"type": kind, **fields}, kind)
