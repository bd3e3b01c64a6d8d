"""OpenAI's Responses API as a dialect."""

from __future__ import annotations

from fastapi import APIRouter

from ...engine.capabilities import Capability
from ...errors import ChatGLMServerError
from ...service import Service
from ..dialect import ErrorReply, Options, StreamEvent
from ..endpoint import Endpoint
from ..openai.errors import openai_error, openai_error_reply
from .routes import responses_router


class ResponsesDialect:
    """``/v1/responses``. Before a stream, errors are those of chat completions; in it, each answer says its own."""

    json_lines = False
    line_end = "\n"
    stream_end = StreamEvent("[DONE]")  # Open Responses wants it
    key_header: str | None = None
    any_model = True  # agents name OpenAI's models unless they are told otherwise
    not_shown = frozenset({Capability.CHOICES})

    def owns(self, path: str) -> bool:
        return path == "/v1/responses" or path.startswith("/v1/responses/")

    def error_reply(self, error: ChatGLMServerError) -> ErrorReply:
        return openai_error_reply(error)

    def error_event(self, error: ChatGLMServerError) -> StreamEvent:
        return StreamEvent(openai_error(error))

    def router(self, service: Service, options: Options) -> APIRouter:
        return responses_router(Endpoint(service.engine, self, options))
