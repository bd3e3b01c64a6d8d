"""From Anthropic's messages, which are lists of blocks, to the nouns of chat.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...chat import JsonObject, Message, ToolCall
from ...errors import InvalidRequest
from ...log_once import log_once
from ..openai.conversation import MAX_MESSAGES
from ..openai.tools import MAX_NAME, function_name
from ..validation import read
from .thoughts import thought_in

MAX_BLOCKS = 16384
"""Of all messages together: reading more would hold up other requests."""

_BILLING = "x-anthropic-billing-header:"
"""Begins a system block of Claude Code's that changes with every request: no prefix would be in the KV cache."""

_ERROR_AT = 40
"""A result whose first characters name an error need not be marked as one."""


class Block(BaseModel):
    """A block of a type that this server knows nothing of."""

    model_config = ConfigDict(extra="allow")

    type: str


class TextBlock(BaseModel):
    """Text."""

    type: Literal["text"]
    text: str


class ImageBlock(BaseModel):
    """An image."""

    type: Literal["image"]
    source: dict[str, Any]


class ThinkingBlock(BaseModel):
    """The assistant's thought before an answer."""

    type: Literal["thinking"]
    thinking: str = ""
    signature: str = ""


class ToolUseBlock(BaseModel):
    """A call in the history."""

    type: Literal["tool_use"]
    id: str
    name: str = Field(min_length=1, max_length=MAX_NAME)
    input: dict[str, Any] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return function_name(value)


class ToolResultBlock(BaseModel):
    """A call's result."""

    type: Literal["tool_result"]
    tool_use_id: str
    content: str | Annotated[list[Block], Field(fail_fast=True)] | None = None
    is_error: bool | None = None


AnyBlock = TextBlock | ImageBlock | ThinkingBlock | ToolUseBlock | ToolResultBlock | Block
_KINDS: dict[str, type[AnyBlock]] = {
    "text": TextBlock,
    "image": ImageBlock,
    "thinking": ThinkingBlock,
    "tool_use": ToolUseBlock,
    "tool_result": ToolResultBlock,
}


class MessageParam(BaseModel):
    """A message: of the user, the assistant, or the system."""

    role: str
    content: str | list[AnyBlock]


_Texts = Annotated[list[TextBlock], Field(fail_fast=True, max_length=MAX_BLOCKS)]


class _Message(BaseModel):
    """A message whose blocks are still to be read, one by one: errors then name the block."""

    role: str
    content: str | Annotated[list[dict[str, Any]], Field(fail_fast=True)]


def read_system(value: Any) -> tuple[Message, ...]:
    """The instructions in front of the conversation, if there are any. Raises: InvalidRequest."""
    system: str | list[TextBlock] | None = read(_Texts if isinstance(value, list) else str | None, value, "system")
    if isinstance(system, list):
        system = "\n".join(block.text for block in system if not block.text.startswith(_BILLING))
    return (Message("system", system),) if system else ()


def read_conversation(value: Any, *, images: bool) -> tuple[Message, ...]:
    """The conversation. `images`: another server reads it, and images too. Raises: InvalidRequest."""
    if not isinstance(value, list) or not value:
        raise InvalidRequest("messages: must be a list of at least one message", param="messages")
    if len(value) > MAX_MESSAGES:
        raise InvalidRequest(f"messages: at most {MAX_MESSAGES}, not {len(value)}", param="messages")
    if _count_blocks(value) > MAX_BLOCKS:
        raise InvalidRequest(f"messages: at most {MAX_BLOCKS} blocks in all", param="messages")
    messages: list[Message] = []
    calls: set[str] = set()  # ids
    for number, item in enumerate(value):
        where = f"messages[{number}].content"
        body = read(_Message, item, f"messages[{number}]")
        blocks = list(_blocks(body.content, where))
        if body.role == "assistant":
            messages.append(_answer(blocks))
            calls.update(call.id for call in messages[-1].tool_calls)
        elif body.role == "system":
            messages.append(Message("system", _text(blocks)))
        else:
            messages += _question(blocks, where, calls, images=images)
    return tuple(messages)


def _count_blocks(value: list[Any]) -> int:
    """The blocks in messages, and in the results among these."""
    contents = [item.get("content") for item in value if isinstance(item, dict)]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    inner = [block.get("content") for block in blocks if isinstance(block, dict)]
    return len(blocks) + sum(len(content) for content in inner if isinstance(content, list))


def _blocks(content: str | list[dict[str, Any]], where: str) -> Iterator[AnyBlock]:
    if isinstance(content, str):
        yield TextBlock(type="text", text=content)
        return
    for number, item in enumerate(content):
        kind = item.get("type")
        yield read(_KINDS.get(kind, Block) if isinstance(kind, str) else Block, item, f"{where}[{number}]")


def _text(blocks: list[AnyBlock]) -> str:
    return "\n".join(block.text for block in blocks if isinstance(block, TextBlock))


def _answer(blocks: list[AnyBlock]) -> Message:
    """An earlier answer. Its text blocks follow each other as they were written."""
    text, thoughts = "", ""
    calls: list[ToolCall] = []
    for block in blocks:
        if isinstance(block, TextBlock):
            text += block.text
        elif isinstance(block, ThinkingBlock):
            thoughts += thought_in(block.thinking, block.signature)
        elif isinstance(block, ToolUseBlock):
            calls.append(ToolCall(block.id, block.name, block.input))
        else:
            log_once(f"leaving out blocks of the type {block.type[:64]!r} in earlier answers")
    return Message("assistant", text, tuple(calls), reasoning=thoughts)


def _question(blocks: list[AnyBlock], where: str, calls: set[str], *, images: bool) -> Iterator[Message]:
    """The results among `blocks`, a message each, and then the user's own message, if there is one.

    A result without a call is text of the user's: clients cut the beginning of long conversations off.
    """
    texts: list[str] = []
    parts: list[JsonObject] = []
    for number, block in enumerate(blocks):
        if isinstance(block, ToolResultBlock):
            text = _result(block)
            if block.tool_use_id in calls:
                yield Message("tool", text, tool_call_id=block.tool_use_id)
                continue
        elif isinstance(block, TextBlock):
            text = block.text
        elif isinstance(block, ImageBlock) and images:
            parts.append({"type": "image_url", "image_url": {"url": _image_url(block.source)}})
            continue
        else:
            message = f"this model reads text only, not {block.type[:64]!r} blocks"
            raise InvalidRequest(message, param=f"{where}[{number}]")
        texts.append(text)
        parts.append({"type": "text", "text": text})
    if len(parts) > len(texts):
        yield Message("user", "\n".join(texts), parts=tuple(parts))
    elif texts or not blocks:
        yield Message("user", "\n".join(texts))


def _result(block: ToolResultBlock) -> str:
    """A result as text. An image or a file becomes its type in brackets, so that the model knows of it."""
    content = block.content or ""
    if not isinstance(content, str):
        content = "\n".join(_shown(item.model_dump()) for item in content)
    if block.is_error and "error" not in content[:_ERROR_AT].lower():
        return f"Error: {content}"
    return content


def _shown(item: Mapping[str, Any]) -> str:
    text = item.get("text")
    return text if item["type"] == "text" and isinstance(text, str) else f"[{item['type']}]"


def _image_url(source: Mapping[str, Any]) -> str:
    """The URL of an image, as OpenAI's API takes it. An image in base64 becomes a data URL."""
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return str(source.get("url", ""))
