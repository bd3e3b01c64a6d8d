"""The endpoints' answers, whole and in the events of streams, for ``/openapi.json``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, RootModel

from ..answer_model import AnswerModel
from .errors import MessagesErrorBody


class AnsweredText(AnswerModel):
    """Text of the answer."""

    type: Literal["text"]
    text: str


class AnsweredThinking(AnswerModel):
    """The model's thought. `thinking` is empty if the client asked for thoughts without their text."""

    type: Literal["thinking"]
    thinking: str
    signature: str


class AnsweredToolUse(AnswerModel):
    """A call."""

    type: Literal["tool_use"]
    id: str
    name: str
    input: dict[str, Any]


class MessageUsage(AnswerModel):
    """Token counts; those of the prompt add up to its length."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int


StopReason = Literal["end_turn", "tool_use", "max_tokens", "stop_sequence", "model_context_window_exceeded"]
Block = Annotated[AnsweredText | AnsweredThinking | AnsweredToolUse, Field(discriminator="type")]


class MessageObject(AnswerModel):
    """The answer to a conversation. `stop_reason` is null at the beginning of a stream."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[Block]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: MessageUsage


class TokenCount(AnswerModel):
    """The length of a prompt."""

    input_tokens: int


class AnthropicModel(AnswerModel):
    """A model. Its lengths are null if they are not known."""

    type: Literal["model"]
    id: str
    display_name: str
    created_at: str
    lifecycle: str
    max_input_tokens: int | None
    max_tokens: int | None


class AnthropicModels(AnswerModel):
    """All models, to a request with the header ``anthropic-version``."""

    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


class MessageStart(AnswerModel):
    """The message, without content. Its usage is that of the prompt, before it is known what of it is cached."""

    type: Literal["message_start"]
    message: MessageObject


class Ping(AnswerModel):
    """A sign of life."""

    type: Literal["ping"]


class BlockStart(AnswerModel):
    """The next block of the message, empty."""

    type: Literal["content_block_start"]
    index: int
    content_block: Block


class TextPart(AnswerModel):
    """More of a text."""

    type: Literal["text_delta"]
    text: str


class ThinkingPart(AnswerModel):
    """More of a thought."""

    type: Literal["thinking_delta"]
    thinking: str


class SignaturePart(AnswerModel):
    """The signature at the end of a thought. A client sends it back with the thought."""

    type: Literal["signature_delta"]
    signature: str


class InputPart(AnswerModel):
    """More of a call's input, as JSON text."""

    type: Literal["input_json_delta"]
    partial_json: str


class BlockDelta(AnswerModel):
    """More of a block."""

    type: Literal["content_block_delta"]
    index: int
    delta: Annotated[TextPart | ThinkingPart | SignaturePart | InputPart, Field(discriminator="type")]


class BlockStop(AnswerModel):
    """The block is whole."""

    type: Literal["content_block_stop"]
    index: int


class Stop(AnswerModel):
    """Why the answer ended."""

    stop_reason: StopReason
    stop_sequence: str | None


class MessageDelta(AnswerModel):
    """The end of the answer, and the token counts of all of it."""

    type: Literal["message_delta"]
    delta: Stop
    usage: MessageUsage


class MessageStop(AnswerModel):
    """The last event."""

    type: Literal["message_stop"]


_Event = MessageStart | Ping | BlockStart | BlockDelta | BlockStop | MessageDelta | MessageStop | MessagesErrorBody


class MessageEvent(RootModel[Annotated[_Event, Field(discriminator="type")]]):
    """An event of a stream; its name is its `type`. An `error` is the last one."""
