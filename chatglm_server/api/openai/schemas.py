"""The endpoints' answers, whole and in the events of streams, for ``/openapi.json``."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from ..answer_model import AnswerModel


class PromptDetails(BaseModel):
    """Of the prompt's tokens, how many were in the KV cache."""

    cached_tokens: int


class CompletionDetails(BaseModel):
    """Of the answer's tokens, how many are thoughts, and how many were guessed ahead; and wrong guesses."""

    reasoning_tokens: int | None = None
    accepted_prediction_tokens: int | None = None
    rejected_prediction_tokens: int | None = None


class UsageObject(BaseModel):
    """Token counts of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails | None = None


class TimingsObject(AnswerModel):
    """Tokens and milliseconds, with ``timings_per_token``: of the cache, the prompt, the answer, and guessed ahead."""

    cache_n: int
    prompt_n: int
    prompt_ms: float
    prompt_per_token_ms: float | None
    prompt_per_second: float | None
    predicted_n: int
    predicted_ms: float
    predicted_per_token_ms: float | None
    predicted_per_second: float | None
    draft_n: int
    draft_n_accepted: int


class CalledFunction(AnswerModel):
    """A called function; `arguments` is JSON text."""

    name: str
    arguments: str


class ToolCallObject(AnswerModel):
    """A call; `x_repairs` says what was repaired of it, with ``--report-repairs``."""

    id: str
    type: str
    function: CalledFunction
    x_repairs: list[str] | None = None


class AssistantObject(AnswerModel):
    """The answer; `content` is null if it is calls alone."""

    role: str
    content: str | None
    refusal: None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallObject] | None = None
    function_call: CalledFunction | None = None


class TokenLogprobObject(AnswerModel):
    """A token and the natural logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class SampledTokenObject(TokenLogprobObject):
    """A token of the answer, and the likeliest tokens at its place."""

    top_logprobs: list[TokenLogprobObject]


class ChatLogprobs(AnswerModel):
    """The log probabilities of an answer's tokens."""

    content: list[SampledTokenObject]
    refusal: None


class ChatChoice(AnswerModel):
    """One of the answers."""

    index: int
    message: AssistantObject
    logprobs: ChatLogprobs | None
    finish_reason: str


class ChatCompletionObject(AnswerModel):
    """The answers to a conversation."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageObject
    timings: TimingsObject | None = None


class FunctionDelta(AnswerModel):
    """More of a call: the name comes once, and `arguments` in parts."""

    name: str | None = None
    arguments: str


class ToolCallDeltaObject(AnswerModel):
    """More of the call with this `index`. Its id, type and name come first, and once."""

    index: int
    id: str | None = None
    type: str | None = None
    function: FunctionDelta
    x_repairs: list[str] | None = None


class DeltaObject(AnswerModel):
    """The next part of an answer: its role first, then thoughts, text and parts of calls."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDeltaObject] | None = None
    function_call: FunctionDelta | None = None


class ChunkChoice(AnswerModel):
    """More of one of the answers; the last one says why it ended."""

    index: int
    delta: DeltaObject
    logprobs: ChatLogprobs | None
    finish_reason: str | None


class PromptProgressObject(AnswerModel):
    """With ``return_progress``: tokens of the prompt, those from the cache, those done, and milliseconds so far."""

    total: int
    cache: int
    processed: int
    time_ms: int


class ChatCompletionChunk(AnswerModel):
    """An event of a stream. With `usage`, at the end, `choices` is empty. The last event is the word ``[DONE]``."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageObject | None = None
    timings: TimingsObject | None = None
    prompt_progress: PromptProgressObject | None = None


class TextLogprobsObject(AnswerModel):
    """The log probabilities of an answer's tokens: lists of equal length."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(AnswerModel):
    """One of the answers."""

    index: int
    text: str
    logprobs: TextLogprobsObject | None
    finish_reason: str


class TextCompletionObject(AnswerModel):
    """The answers to bare prompts."""

    id: str
    object: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: UsageObject
    timings: TimingsObject | None = None


class TextChunkChoice(AnswerModel):
    """More of one of the answers; the last one says why it ended."""

    index: int
    text: str
    logprobs: TextLogprobsObject | None
    finish_reason: str | None


class TextCompletionChunk(AnswerModel):
    """An event of a stream. With `usage`, at the end, `choices` is empty. The last event is the word ``[DONE]``."""

    id: str
    object: str
    created: int
    model: str
    choices: list[TextChunkChoice]
    usage: UsageObject | None = None
    timings: TimingsObject | None = None


class EmbeddingObject(AnswerModel):
    """A text's vector: numbers, or with ``"encoding_format": "base64"`` their 32-bit floats."""

    object: str
    index: int
    embedding: list[float] | str


class EmbeddingUsage(AnswerModel):
    """Tokens of all texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(AnswerModel):
    """The vectors, in the order of the texts."""

    object: str
    data: list[EmbeddingObject]
    model: str
    usage: EmbeddingUsage


class ModelObject(AnswerModel):
    """A model; `unit` says what lengths and usage count, `thinking` when it thinks before it answers.

    `thinking` is null if that is not known, and "optional" if a request may choose with `enable_thinking`.
    """

    id: str
    object: str
    created: int
    owned_by: str
    context_length: int | None
    unit: str
    chat_format: str
    supports_tools: bool
    thinking: Literal["never", "optional", "always"] | None
    aliases: list[str]


class ModelList(AnswerModel):
    """The models that requests may name."""

    object: str
    data: list[ModelObject]
