"""GLM-API's API as a dialect."""

from __future__ import annotations

from fastapi import APIRouter

from ...engine.capabilities import Capability
from ...errors import ChatGLMServerError
from ...service import Service
from ..dialect import ErrorReply, Options, StreamEvent
from ..endpoint import Endpoint
from ..openai.errors import openai_error, openai_error_reply
from .routes import glm_router


class GLMDialect:
    """``/chat``, ``/tokenize`` and ``/models``. Errors have OpenAI's shape: GLM-API had none."""

    json_lines = False
    line_end = "\r\n"  # GLM-API left this to sse-starlette's default, so its clients may split at \r\n\r\n
    stream_end = StreamEvent("[DONE]")
    key_header: str | None = None
    any_model = False
    not_shown = frozenset({Capability.CHOICES, Capability.LOGPROBS})

    def owns(self, path: str) -> bool:
        return path in ("/chat", "/tokenize", "/models")

    def error_reply(self, error: ChatGLMServerError) -> ErrorReply:
        return openai_error_reply(error)

    def error_event(self, error: ChatGLMServerError) -> StreamEvent:
        return StreamEvent(openai_error(error))

    def router(self, service: Service, options: Options) -> APIRouter:
        return glm_router(Endpoint(service.engine, self, options), service)
