"""The schema of the API: FastAPI's, with streams, errors by their status, and examples that this server answered.

The examples are in ``examples/``, by operation and name, as ``scripts/api_examples.py`` recorded them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib.resources import files
from inspect import getdoc

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ..errors import (
    AuthenticationError,
    ChatGLMServerError,
    ContextLengthExceeded,
    InvalidRequest,
    ModelFailure,
    ModelNotFound,
    NotReady,
    NotSupported,
    PermissionDenied,
    QueueFull,
    RequestTimeout,
    RequestTooLarge,
    ShuttingDown,
    UnsupportedMediaType,
    UpstreamFailure,
    UpstreamTimeout,
    UpstreamUnreachable,
    WaitTooLong,
)
from .anthropic.schemas import MessageEvent
from .dialect import Json
from .dialects import dialect_of
from .glm.schemas import GLMChatChunk
from .http.max_wait import HEADER
from .ollama.schemas import ChatLine, GenerateLine
from .openai.schemas import ChatCompletionChunk, TextCompletionChunk
from .responses.schemas import ResponseEvent

STREAMS: Mapping[str, type[BaseModel]] = {
    "/v1/chat/completions": ChatCompletionChunk,
    "/v1/completions": TextCompletionChunk,
    "/v1/responses": ResponseEvent,
    "/v1/messages": MessageEvent,
    "/chat": GLMChatChunk,
    "/api/chat": ChatLine,
    "/api/generate": GenerateLine,
}
"""The paths whose answers can be streamed, and what each event of a stream, or each line, is."""

EVENT_STREAM, JSON_LINES = "text/event-stream", "application/x-ndjson"

_LISTS = ("/v1/models", "/v1/models/{model}", "/api/tags")
"""The paths whose answers come from another server, if there is one behind this."""

_ANY_MODEL = "/chat"
"""Ignores the model's name, as GLM-API does."""

_OF_ALL = (
    AuthenticationError('the API key is missing: send "Authorization: Bearer KEY"'),
    PermissionDenied(
        "this server is not known as 'example.com'; if it should be, start it with --allowed-host example.com",
        param="Host",
    ),
)
_OF_BODIES = (
    InvalidRequest("temperature: from 0 to 2, not 9", param="temperature"),
    RequestTooLarge("the body is larger than 16000000 bytes (--max-body-mb)"),
    RequestTimeout("the body did not arrive within 60 seconds (--request-timeout-s)"),
)
_UNDECLARED = UnsupportedMediaType('the body must be JSON: send "Content-Type: application/json"')
_UNKNOWN_MODEL = ModelNotFound("the model 'glm' does not exist; this server has 'demo' (see --alias)", param="model")
_TOO_LONG = ContextLengthExceeded(
    "the prompt has 9000 tokens, but this model's context holds 8192, answer included; shorten the conversation or the "
    "tools",
    length=9000,
    limit=8192,
    param="messages",
)
_TOO_LATE = WaitTooLong(
    "the first token would come in about 12 s, and the request waits 5 s; try again in 7 s", retry_after=7
)
_OF_MODELS = (ModelFailure("the native core has no memory for a copy of a prefix"),)
_OF_BACKENDS = (
    UpstreamUnreachable("the backend at http://127.0.0.1:1234/v1 cannot be reached: All connection attempts failed"),
    UpstreamFailure("the backend at http://127.0.0.1:1234/v1 broke off before its answer was complete"),
    UpstreamTimeout("the backend at http://127.0.0.1:1234/v1 was silent for 600 seconds"),
)
"""In front of another server."""
_OF_SOME = (
    QueueFull("the queue of 64 waiting requests is full; try again in a few seconds"),
    NotReady("the model is still being loaded; try again in a few seconds"),
    ShuttingDown("the server is shutting down; the answer was not finished"),
    NotSupported(
        "this server has no embedding model; start it with --embedding-model FOLDER, a folder in the "
        "sentence-transformers layout"
    ),
)
"""Of the routes that state their statuses."""


class DocumentedAPI(FastAPI):
    """An application whose schema has all that."""

    def openapi(self) -> Json:
        if self.openapi_schema is None:
            self.openapi_schema = _completed(super().openapi())
        return self.openapi_schema


def recorded_examples() -> dict[str, Json]:
    """The examples of each operation, such as "POST /v1/messages", by their names. One has a ``request`` if there is a
    body, and its answer as JSON in ``answer`` or as text in ``text``.
    """
    folder = files(__package__) / "examples"
    named = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".json"))
    return {
        operation: examples
        for _, file in named
        for operation, examples in json.loads(file.read_text(encoding="utf-8")).items()
    }


def stream_type(path: str) -> str:
    """The content type of a stream from `path`."""
    return JSON_LINES if dialect_of(path).json_lines else EVENT_STREAM


def _completed(schema: Json) -> Json:
    """`schema` with what it lacks. Mutates it."""
    _, streamed = models_json_schema(
        [(model, "serialization") for model in STREAMS.values()], ref_template="#/components/schemas/{model}"
    )
    schema["components"]["schemas"] |= streamed["$defs"]
    examples = recorded_examples()
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if path in STREAMS:
                _add_stream(operation, path)
                _add_max_wait(operation)
            _add_errors(operation, path, schema)
            _add_examples(operation, path, examples.get(f"{method.upper()} {path}", {}))
    return schema


def _add_stream(operation: Json, path: str) -> None:
    answer, event = operation["responses"]["200"], STREAMS[path].__name__
    unit = "line" if dialect_of(path).json_lines else "event's data"
    answer["description"] = f"The answer whole, or as a stream: then each {unit} is a {event}."
    answer["content"][stream_type(path)] = {"schema": {"$ref": f"#/components/schemas/{event}"}}


def _add_max_wait(operation: Json) -> None:
    """Adds the header by which any request for an answer may bound its wait. Mutates `operation`."""
    header = {
        "name": HEADER,
        "in": "header",
        "required": False,
        "schema": {"type": "number", "exclusiveMinimum": 0},
        "description": "seconds that the request waits for its first token at most; if it would wait longer, it gets a "
        "429 at once. Without it: --max-wait-s",
    }
    operation.setdefault("parameters", []).append(header)


def _add_errors(operation: Json, path: str, schema: Json) -> None:
    """Replaces "4XX" by the statuses that there may be, each with its errors in the dialect of `path`."""
    responses, dialect = operation["responses"], dialect_of(path)
    if "4XX" not in responses:
        return
    (content,) = responses.pop("4XX")["content"].values()
    by_status: defaultdict[int, list[ChatGLMServerError]] = defaultdict(list)
    for error in _errors(operation, path, schema):
        by_status[dialect.error_reply(error).status].append(error)
    for status, errors in sorted(by_status.items()):
        examples = {
            str(error.code): {"summary": error.message, "value": dialect.error_reply(error).body} for error in errors
        }
        responses[str(status)] = {
            "description": " ".join(str(getdoc(type(error))).partition(".")[0] + "." for error in errors),
            "content": {"application/json": {"schema": content["schema"], "examples": examples}},
        }
        if any(error.retry_after is not None for error in errors):
            seconds = {"description": "seconds after which to try again", "schema": {"type": "integer"}}
            responses[str(status)]["headers"] = {"Retry-After": seconds}
    operation["responses"] = dict(sorted(responses.items()))


def _errors(operation: Json, path: str, schema: Json) -> Iterator[ChatGLMServerError]:
    """The errors of an operation: of any request, of the input that it reads, and those that its route states."""
    yield from _OF_ALL
    if "requestBody" in operation:
        yield from _OF_BODIES
        if not dialect_of(path).json_lines:  # Ollama's clients do not say that they send JSON
            yield _UNDECLARED
    if path in STREAMS:
        yield from (_TOO_LONG, _TOO_LATE, *_OF_MODELS)
    if path in STREAMS or path in _LISTS:
        yield from _OF_BACKENDS
    if path != _ANY_MODEL and ("{model}" in path or "model" in _fields(operation, schema)):
        yield _UNKNOWN_MODEL
    for error in _OF_SOME:
        status = dialect_of(path).error_reply(error).status
        if (path in STREAMS and status != 501) or str(status) in operation["responses"]:
            yield error


def _fields(operation: Json, schema: Json) -> Json:
    """The fields of the body that the operation reads."""
    if "requestBody" not in operation:
        return {}
    named: str = operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    fields: Json = schema["components"]["schemas"][named.rpartition("/")[2]].get("properties", {})
    return fields


def _add_examples(operation: Json, path: str, examples: Json) -> None:
    for name, example in examples.items():
        if "request" in example:
            body = operation["requestBody"]["content"]["application/json"]
            body.setdefault("examples", {})[name] = {"value": example["request"]}
        content = operation["responses"]["200"]["content"]
        if "answer" in example:
            kind, value = "application/json", example["answer"]
        else:
            kind, value = stream_type(path) if path in STREAMS else "text/plain", example["text"]
        content[kind].setdefault("examples", {})[name] = {"value": value}
