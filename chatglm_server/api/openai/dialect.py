"""OpenAI's API as a dialect."""

from __future__ import annotations

from fastapi import APIRouter

from ...engine.capabilities import Capability
from ...errors import ChatGLMServerError
from ...service import Service
from ..dialect import ErrorReply, Options, StreamEvent
from ..endpoint import Endpoint
from .errors import openai_error, openai_error_reply
from .routes import openai_router


class OpenAIDialect:
    """Chat completions and completions. Its error object is also that of every path which no other dialect owns."""

    json_lines = False
    line_end = "\n"
    stream_end = StreamEvent("[DONE]")
    key_header: str | None = None
    any_model = False
    not_shown: frozenset[Capability] = frozenset()

    def owns(self, path: str) -> bool:
        return True

    def error_reply(self, error: ChatGLMServerError) -> ErrorReply:
        return openai_error_reply(error)

    def error_event(self, error: ChatGLMServerError) -> StreamEvent:
        return StreamEvent(openai_error(error))

    def router(self, service: Service, options: Options) -> APIRouter:
        return openai_router(Endpoint(service.engine, self, options), options)
