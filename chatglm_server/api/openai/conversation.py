"""From OpenAI's messages to the nouns of chat.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...chat import JsonObject, Message, ToolCall
from ...errors import InvalidRequest
from ...json_text import NotAnObject, dump_object, is_too_deep, load_object
from ..validation import read
from .tools import function_name

MAX_MESSAGES = 2048
MAX_FOREIGN_MESSAGES = 16384
"""Of conversations that another server reads: reading more would hold up other requests."""
TEXT_PARTS = ("text", "input_text", "output_text")
"""Content parts that hold text; the latter two are the Responses API's."""


class ContentPart(BaseModel):
    """A part of a message's content: text, or what this server cannot read."""

    model_config = ConfigDict(extra="allow")

    type: str
    text: str | None = None
    refusal: str | None = None


Content = str | Annotated[list[ContentPart], Field(fail_fast=True)] | None


class FunctionCall(BaseModel):
    """The function of a call in the history; `arguments` is JSON text, though some clients send the object."""

    name: str = Field(min_length=1, max_length=128)
    arguments: str | dict[str, Any] | None = None

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return function_name(value)


class CallBody(BaseModel):
    """A call in the history."""

    model_config = ConfigDict(extra="allow")

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class _MessageBody(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: str | None = None


class SystemMessage(_MessageBody):
    """Instructions for the model."""

    role: Literal["system", "developer"]
    content: Content


class UserMessage(_MessageBody):
    """A message of the user."""

    role: Literal["user"]
    content: Content


class AssistantMessage(_MessageBody):
    """An earlier answer. `function_call` is how OpenAI had a call before tools."""

    role: Literal["assistant"]
    content: Content = None
    reasoning_content: str | None = None
    tool_calls: Annotated[list[CallBody], Field(fail_fast=True)] | None = None
    function_call: FunctionCall | None = None


class ToolMessage(_MessageBody):
    """A call's result."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str


class FunctionMessage(_MessageBody):
    """A call's result, as it was before tools."""

    role: Literal["function"]
    content: Content


ROLES = ("system", "developer", "user", "assistant", "tool", "function")
AnyMessage = SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage
MessageBody = Annotated[AnyMessage, Field(discriminator="role")]


def read_messages(value: Any, *, foreign: bool) -> tuple[Message, ...]:
    """The conversation. `foreign`: another server reads it, so any object with a known role is a message; `extras` hold
    what it says.

    Raises: InvalidRequest.
    """
    if not isinstance(value, list) or not value:
        raise InvalidRequest("messages: must be a list of at least one message", param="messages")
    most = MAX_FOREIGN_MESSAGES if foreign else MAX_MESSAGES
    if len(value) > most:
        raise InvalidRequest(f"messages: at most {most}, not {len(value)}", param="messages")
    messages: list[Message] = []
    functions = 0  # calls of the older kind: their results name no id, so their number is the id
    for number, item in enumerate(value):
        where = f"messages[{number}]"
        try:
            body: AnyMessage = read(MessageBody, item, where)
            if isinstance(body, FunctionMessage) and not functions and foreign:
                messages.append(_foreign_message(item))
                continue
            functions += isinstance(body, AssistantMessage) and body.function_call is not None
            messages.append(_message(body, item, where, f"call_{functions}", foreign))
        except InvalidRequest:
            if not foreign or not isinstance(item, dict) or item.get("role") not in ROLES:
                raise
            messages.append(_foreign_message(item))
    return tuple(messages)


def _message(body: AnyMessage, item: Mapping[str, Any], where: str, call_id: str, foreign: bool) -> Message:
    content, parts = _content(body.content, item.get("content"), f"{where}.content", foreign)
    extras = {name: value for name, value in (body.model_extra or {}).items() if value is not None}
    if body.role == "developer":
        extras["role"] = "developer"
    if isinstance(body, AssistantMessage):
        if body.content is None:
            extras["content"] = None
        calls = tuple(_call(call.id, call.function) for call in body.tool_calls or ())
        if any(call.model_extra for call in body.tool_calls or ()):
            extras["tool_calls"] = item["tool_calls"]
        if body.function_call is not None:
            calls = (*calls, _call(call_id, body.function_call))
        return Message(
            "assistant",
            content,
            calls,
            reasoning=body.reasoning_content or "",
            name=body.name,
            parts=parts,
            extras=extras,
        )
    if isinstance(body, ToolMessage | FunctionMessage):
        answered = body.tool_call_id if isinstance(body, ToolMessage) else call_id
        return Message("tool", content, tool_call_id=answered, name=body.name, parts=parts, extras=extras)
    role: Literal["user", "system"] = "user" if isinstance(body, UserMessage) else "system"
    return Message(role, content, name=body.name, parts=parts, extras=extras)


def _foreign_message(item: Mapping[str, Any]) -> Message:
    """A message that only another server understands: all of it is in `extras`."""
    content = item.get("content")
    return Message("user", content if isinstance(content, str) else "", extras=dict(item))


def _content(content: Content, sent: Any, where: str, foreign: bool) -> tuple[str, tuple[JsonObject, ...]]:
    """Content as text, and the parts it came in: they follow each other as they are, as in the models' templates."""
    if content is None or isinstance(content, str):
        return content or "", ()
    texts = []
    for number, part in enumerate(content):
        text = part.text if part.type in TEXT_PARTS else part.refusal if part.type == "refusal" else None
        if text is not None:
            texts.append(text)
        elif not foreign:
            message = f"this model reads text only, not {part.type[:64]!r} parts"
            raise InvalidRequest(message, param=f"{where}[{number}]")
    return "".join(texts), tuple(sent)


def _call(id_: str, function: FunctionCall) -> ToolCall:
    arguments = function.arguments
    if isinstance(arguments, Mapping):
        return ToolCall(id_, function.name, dict(arguments))
    sent = arguments or ""
    text = sent.strip()
    if text in ("", "null"):
        return ToolCall(id_, function.name, {}, sent)
    try:
        # once more through JSON text, which joins surrogates: a prompt must be valid Unicode
        parsed = load_object(dump_object(load_object(text)))
    except NotAnObject:
        return ToolCall(id_, function.name, sent, sent)
    if is_too_deep(parsed):
        return ToolCall(id_, function.name, sent, sent)
    return ToolCall(id_, function.name, parsed, sent)
