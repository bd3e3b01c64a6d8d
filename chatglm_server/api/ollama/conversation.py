"""From Ollama's messages to the nouns of chat.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, field_validator

from ...chat import Message, ToolCall
from ...errors import InvalidRequest
from ..openai.tools import MAX_NAME, function_name


class CalledFunction(BaseModel):
    """The function of a call in the history."""

    name: str = Field(min_length=1, max_length=MAX_NAME)
    arguments: dict[str, Any] = {}

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return function_name(value)


class CallBody(BaseModel):
    """A call in the history; older clients send no id."""

    id: str | None = None
    function: CalledFunction


class MessageBody(BaseModel):
    """A message. A tool's result says which call it answers by id, by the tool's name, or by its place."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = ""
    thinking: str | None = None
    images: list[Any] | None = None
    tool_calls: Annotated[list[CallBody], Field(fail_fast=True)] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None


def read_conversation(bodies: Sequence[MessageBody]) -> tuple[Message, ...]:
    """The conversation. Raises: InvalidRequest."""
    messages: list[Message] = []
    unanswered: list[ToolCall] = []
    for number, body in enumerate(bodies):
        check_no_images(body.images, f"messages[{number}].images")
        content = body.content or ""
        if body.role == "assistant":
            unanswered = [_call(call, f"call_{number}_{place}") for place, call in enumerate(body.tool_calls or ())]
            messages.append(Message("assistant", content, tuple(unanswered), reasoning=body.thinking or ""))
        elif body.role == "tool":
            call = _answered(body, unanswered)
            id_ = body.tool_call_id or (call.id if call else "")
            messages.append(Message("tool", content, tool_call_id=id_, name=body.tool_name))
        else:
            messages.append(Message(body.role, content))
    return tuple(messages)


def check_no_images(images: Sequence[Any] | None, field: str) -> None:
    """Raises: InvalidRequest if there are any."""
    if images:
        raise InvalidRequest(f"{field}: this model reads text only; leave images out", param=field)


def _call(body: CallBody, id_: str) -> ToolCall:
    return ToolCall(body.id or id_, body.function.name, body.function.arguments)


def _answered(result: MessageBody, unanswered: list[ToolCall]) -> ToolCall | None:
    """The call that `result` answers, taken out of those `unanswered`; None for a result of no call."""
    by_id = (call for call in unanswered if call.id == result.tool_call_id)
    by_name = (call for call in unanswered if call.name == result.tool_name)
    call = next(by_id, None) or next(by_name, None) or next(iter(unanswered), None)
    if call is not None:
        unanswered.remove(call)
    return call
