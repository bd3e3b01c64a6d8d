"""GLM-API's answers, whole and in the events of streams, for ``/openapi.json``."""

from __future__ import annotations

from typing import Any

from ..answer_model import AnswerModel
from ..openai.schemas import ToolCallDeltaObject, ToolCallObject
from .bodies import ModelCard


class GLMMessage(AnswerModel):
    """The answer; a call is in `content` as JSON text if `return_function_call` is set."""

    role: str
    content: str | None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallObject] | None = None
    metadata: None
    tools: None


class GLMChoice(AnswerModel):
    """The one answer. `history` holds all messages if `return_function_call` is set."""

    index: int
    message: GLMMessage
    finish_reason: str
    history: list[dict[str, Any]] | None


class GLMUsage(AnswerModel):
    """Token counts of a request."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int


class GLMChatObject(AnswerModel):
    """The answer to a conversation."""

    model: str
    id: str
    object: str
    choices: list[GLMChoice]
    created: int
    usage: GLMUsage


class GLMDelta(AnswerModel):
    """The new text of an answer, or with ``"chunk": false`` all text so far; and calls."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDeltaObject] | None = None


class GLMChunkChoice(AnswerModel):
    """More of the answer; the last one says why it ended."""

    index: int
    delta: GLMDelta
    finish_reason: str | None


class GLMChatChunk(AnswerModel):
    """An event of a stream. The last event is the word ``[DONE]``."""

    model: str
    id: str
    object: str
    choices: list[GLMChunkChoice]


class TokenizedText(AnswerModel):
    """The ids of a text's tokens with the special ones around it, and its tokens without them."""

    tokenIds: list[int]
    tokens: list[str]
    model: str
    object: str


class ModelCards(AnswerModel):
    """The models."""

    object: str
    data: list[ModelCard]


class GLMVectors(AnswerModel):
    """The vectors as the model gives them; `truncated` numbers the texts that it read only in part."""

    data: list[list[float]]
    model: str
    object: str
    truncated: list[int] | None = None


class Keyword(AnswerModel):
    """A word, and the cosine of its vector and the text's."""

    name: str
    similarity: float


class Keywords(AnswerModel):
    """The words most similar to the text; `truncated` if the model read only its beginning."""

    model: str
    keywords: list[Keyword]
    truncated: bool | None = None
