"""Ollama's API as a dialect."""

from __future__ import annotations

from fastapi import APIRouter

from ...engine.capabilities import Capability
from ...errors import ChatGLMServerError
from ...service import Service
from ..dialect import ErrorReply, Json, Options, StreamEvent
from ..endpoint import Endpoint
from ..openai.errors import openai_error_reply
from .routes import ollama_router


class OllamaDialect:
    """``/api/…``. An error is a text."""

    json_lines = True
    line_end = "\n"
    stream_end: StreamEvent | None = None
    key_header: str | None = None
    any_model = False
    not_shown = frozenset({Capability.CHOICES})

    def owns(self, path: str) -> bool:
        return path.startswith("/api/") and not path.startswith("/api/v1/")  # a base URL of OpenAI's clients

    def error_reply(self, error: ChatGLMServerError) -> ErrorReply:
        return ErrorReply(error.status, _body(error), openai_error_reply(error).headers)

    def error_event(self, error: ChatGLMServerError) -> StreamEvent:
        return StreamEvent(_body(error))

    def router(self, service: Service, options: Options) -> APIRouter:
        return ollama_router(Endpoint(service.engine, self, options), service)


def _body(error: ChatGLMServerError) -> Json:
    return {"error": error.message}
