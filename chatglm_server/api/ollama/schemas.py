"""Ollama's answers, whole and in the lines of streams, for ``/openapi.json``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from ..answer_model import AnswerModel
from ..openai.schemas import SampledTokenObject


class OllamaErrorBody(BaseModel):
    """The body of every error, and the last line of a stream that failed."""

    error: str


class OllamaFunction(AnswerModel):
    """A called function."""

    index: int
    name: str
    arguments: dict[str, Any]


class OllamaCall(AnswerModel):
    """A call."""

    id: str
    function: OllamaFunction


class OllamaMessage(AnswerModel):
    """The answer, or the next part of it."""

    role: str
    content: str
    thinking: str | None = None
    tool_calls: list[OllamaCall] | None = None


class _Line(AnswerModel):
    model: str
    created_at: str
    done: bool
    done_reason: str | None = None
    total_duration: int | None = None
    load_duration: int | None = None
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None
    logprobs: list[SampledTokenObject] | None = None


class ChatLine(_Line):
    """The answer to a conversation, whole or in parts. The last line has `done` and the counts; durations are in
    nanoseconds.
    """

    message: OllamaMessage


class GenerateLine(_Line):
    """The answer to a prompt, whole or in parts. The last line has `done` and the counts; durations are in
    nanoseconds.
    """

    response: str
    thinking: str | None = None
    context: list[int] | None = None


class VersionObject(AnswerModel):
    """The version of Ollama whose API this is, and this server's own."""

    version: str
    chatglm_server: str


class ModelDetails(AnswerModel):
    """Facts from the model file; empty if there is none."""

    parent_model: str
    format: str
    family: str
    families: list[str]
    parameter_size: str
    quantization_level: str


class _NamedModel(AnswerModel):
    name: str
    model: str
    size: int
    digest: str
    details: ModelDetails


class ListedModel(_NamedModel):
    """A model; `size` is in bytes."""

    modified_at: str
    capabilities: list[str]


class ListedModels(AnswerModel):
    """The models."""

    models: list[ListedModel]


class RunningModel(_NamedModel):
    """A model in memory; `size` is in bytes."""

    expires_at: str
    size_vram: int
    context_length: int


class RunningModels(AnswerModel):
    """The models in memory."""

    models: list[RunningModel]


class ShownModel(AnswerModel):
    """A model, and its capabilities."""

    license: str
    modelfile: str
    parameters: str
    template: str
    details: ModelDetails
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class PullStatus(AnswerModel):
    """The model is here."""

    status: str


class OllamaVectors(AnswerModel):
    """The vectors, in the order of the texts; durations are in nanoseconds."""

    model: str
    embeddings: list[list[float]]
    total_duration: int
    load_duration: int
    prompt_eval_count: int


class OllamaVector(AnswerModel):
    """The vector; empty for an empty text."""

    embedding: list[float]
