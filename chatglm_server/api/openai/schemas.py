"""The endpoints' answers, for ``/openapi.json``. A test validates real answers against these."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


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


class TimingsObject(_Answer):
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


class CalledFunction(_Answer):
    """A called function; `arguments` is JSON text."""

    name: str
    arguments: str


class ToolCallObject(_Answer):
    """A call; `x_repairs` says what was repaired of it, with ``--report-repairs``."""

    id: str
    type: str
    function: CalledFunction
    x_repairs: list[str] | None = None


class AssistantObject(_Answer):
    """The answer; `content` is null if it is calls alone."""

    role: str
    content: str | None
    refusal: None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallObject] | None = None
    function_call: CalledFunction | None = None


class TokenLogprobObject(_Answer):
    """A token and the natural logarithm of its probability."""

    token: str
    logprob: float
    bytes: list[int]


class SampledTokenObject(TokenLogprobObject):
    """A token of the answer, and the likeliest tokens at its place."""

    top_logprobs: list[TokenLogprobObject]


class ChatLogprobs(_Answer):
    """The log probabilities of an answer's tokens."""

    content: list[SampledTokenObject]
    refusal: None


class ChatChoice(_Answer):
    """One of the answers."""

    index: int
    message: AssistantObject
    logprobs: ChatLogprobs | None
    finish_reason: str


class ChatCompletionObject(_Answer):
    """The answers to a conversation."""

    id: str
    object: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageObject
    timings: TimingsObject | None = None


class TextLogprobsObject(_Answer):
    """The log probabilities of an answer's tokens: lists of equal length."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(_Answer):
    """One of the answers."""

    index: int
    text: str
    logprobs: TextLogprobsObject | None
    finish_reason: str


class TextCompletionObject(_Answer):
    """The answers to bare prompts."""

    id: str
    object: str
    created: int
    model: str
    choices: list[TextChoice]
    usage: UsageObject
    timings: TimingsObject | None = None


class ModelObject(_Answer):
    """A model; `unit` says what lengths and usage count."""

    id: str
    object: str
    created: int
    owned_by: str
    context_length: int | None
    unit: str
    chat_format: str
    supports_tools: bool
    aliases: list[str]


class ModelList(_Answer):
    """The models that requests may name."""

    object: str
    data: list[ModelObject]


def answers(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """How a route documents its 200 answer: whole as `model`, or an event stream."""
    stream = {"text/event-stream": {"schema": {"type": "string"}}}
    return {200: {"model": model, "description": 'whole, or a stream with "stream": true', "content": stream}}
