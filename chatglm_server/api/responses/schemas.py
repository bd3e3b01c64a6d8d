"""The answer of the Responses API, for ``/openapi.json``. A test validates real answers against it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class InputDetails(BaseModel):
    """Of the prompt's tokens, how many were in the KV cache."""

    cached_tokens: int
    cache_write_tokens: int


class OutputDetails(BaseModel):
    """Of the answer's tokens, how many are thoughts."""

    reasoning_tokens: int


class ResponseUsage(BaseModel):
    """Token counts of a request."""

    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseFault(BaseModel):
    """Why a response failed."""

    code: str
    message: str


class ResponseObject(BaseModel):
    """A response. `output` holds items: thoughts, messages and calls. Many fields repeat the request's."""

    model_config = ConfigDict(extra="forbid")

    id: str
    object: str
    created_at: int
    completed_at: int | None
    status: str
    model: str
    output: list[dict[str, Any]]
    usage: ResponseUsage | None
    error: ResponseFault | None
    incomplete_details: dict[str, str] | None
    background: bool
    frequency_penalty: float
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    metadata: dict[str, Any]
    parallel_tool_calls: bool
    presence_penalty: float
    previous_response_id: None
    prompt_cache_key: str | None
    reasoning: dict[str, Any]
    safety_identifier: str | None
    service_tier: str
    store: bool
    temperature: float
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]]
    top_logprobs: int
    top_p: float
    truncation: str
    user: str | None
