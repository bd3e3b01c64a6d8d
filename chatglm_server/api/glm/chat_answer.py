"""GLM-API's chat answers: whole, and in its two kinds of stream."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from typing_extensions import assert_never

from ...answer import Answer
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
)
from ...json_text import NotAnObject, load_json
from ..dialect import AnswerShape, Json, StreamEvent


class NewText(AnswerShape):
    """Each event of a stream holds the new text.

    `history` holds the messages as they were sent if a call is to be returned as with ChatGLM3: as JSON text in
    ``content``, and as a message of the history.
    """

    def __init__(self, model: str, history: list[Json] | None = None) -> None:
        self._model = model
        self._history = history
        # the id is of GLM-API's version for GLM-4; the version for ChatGLM3 had none
        self._id = "chatcmpl-" + secrets.token_hex(12)

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The response to a client that does not stream."""
        (answer,) = answers
        finish = answer.finished()
        returned = _returned(answer, self._history)
        choice = {"index": 0, "message": returned.message, "finish_reason": returned.reason}
        return {
            "model": self._model,
            "id": self._id,
            "object": "chat.completion",
            "choices": [choice | {"history": returned.history}],
            "created": int(time.time()),
            "usage": {
                "prompt_tokens": finish.usage.prompt_tokens,
                "total_tokens": finish.usage.prompt_tokens + finish.usage.completion_tokens,
                "completion_tokens": finish.usage.completion_tokens,
            },
        }

    def begin(self, prompt_tokens: int) -> Iterator[StreamEvent]:
        yield self._chunk({"role": "assistant"})

    def add(self, event: AnswerEvent) -> Iterator[StreamEvent]:
        """The chunk of `event`, with OpenAI's deltas."""
        if isinstance(event, TextDelta | ToolCallAbandoned):
            if event.text:
                yield self._chunk({"content": event.text})
        elif isinstance(event, ReasoningDelta):
            yield self._chunk({"reasoning_content": event.text})
        elif isinstance(event, ToolCallStart):
            yield self._chunk({"tool_calls": [{"index": event.index, **_call(event.id, event.name, "")}]})
        elif isinstance(event, ToolCallDelta):
            yield self._chunk({"tool_calls": [{"index": event.index, "function": {"arguments": event.arguments}}]})
        elif isinstance(event, Finish):
            yield self._chunk({}, event.reason)
        elif not isinstance(event, TokenSampled | ToolCallRepaired | PromptRead | AnswerWritten):
            assert_never(event)  # streams do not tell those

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> StreamEvent:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        head = {"model": self._model, "id": self._id, "object": "chat.completion.chunk"}
        return StreamEvent(head | {"choices": [choice]})


class TextSoFar(NewText):
    """Each event with text repeats what came before. Calls come whole, once the text is over."""

    def __init__(self, model: str, history: list[Json] | None = None) -> None:
        super().__init__(model, history)
        self._answer = Answer()

    def add(self, event: AnswerEvent) -> Iterator[StreamEvent]:
        """The chunk of `event`. Mutates the shape."""
        self._answer.add(event)
        if isinstance(event, TextDelta | ToolCallAbandoned):
            yield self._chunk({"content": self._answer.content})
        elif isinstance(event, ReasoningDelta):
            yield self._chunk({"reasoning_content": self._answer.reasoning})
        elif isinstance(event, Finish):
            if self._answer.tool_calls:
                calls = [_call(call.id, call.name, call.arguments) for call in self._answer.tool_calls]
                yield self._chunk({"tool_calls": [{"index": index} | call for index, call in enumerate(calls)]})
            yield self._chunk({}, event.reason)


@dataclass(frozen=True, slots=True)
class _Returned:
    """A whole answer's message, finish reason and history."""

    message: Json
    reason: str
    history: list[Json] | None


def _returned(answer: Answer, history: list[Json] | None) -> _Returned:
    reason: str = answer.finished().reason
    message: Json = {"role": "assistant", "content": answer.content or (None if answer.tool_calls else "")}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if history is None:
        if answer.tool_calls:
            message["tool_calls"] = [_call(call.id, call.name, call.arguments) for call in answer.tool_calls]
    elif reason == "tool_calls":
        call = answer.tool_calls[0]  # the request allows no second one
        try:
            parameters = load_json(call.arguments)
        except NotAnObject:  # another server's, as it stands
            parameters = call.arguments
        message["content"] = json.dumps({"name": call.name, "parameters": parameters}, ensure_ascii=False)
        history = [*history, {"role": "assistant", "metadata": call.name, "content": call.arguments}]
        reason = "function_call"
    else:
        history = [*history, {"role": "assistant", "metadata": "", "content": answer.content}]
    return _Returned(message | {"metadata": None, "tools": None}, reason, history)


def _call(id_: str, name: str, arguments: str) -> Json:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}
