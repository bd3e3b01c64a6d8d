"""The endpoints' answers, for ``/openapi.json``. A test validates real answers against these."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class AnsweredText(_Answer):
    """Text of the answer."""

    type: Literal["text"]
    text: str


class AnsweredThinking(_Answer):
    """The model's thought. `thinking` is empty if the client asked for thoughts without their text."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class AnsweredToolUse(_Answer):
    """A call."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class MessageUsage(_Answer):
    """Token counts; those of the prompt add up to its length."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int


class MessageObject(_Answer):
    """The answer to a conversation."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[AnsweredText | AnsweredThinking | AnsweredToolUse]
    stop_reason: Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "model_context_window_exceeded"]
    stop_sequence: str | None
    usage: MessageUsage


class TokenCount(_Answer):
    """The length of a prompt."""

    input_tokens: int
