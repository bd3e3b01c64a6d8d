"""Anthropic's API as a dialect."""

from __future__ import annotations

from fastapi import APIRouter

from ...engine.capabilities import Capability
from ...errors import ChatGLMServerError
from ...service import Service
from ..dialect import ErrorReply, Options, StreamEvent
from ..endpoint import Endpoint
from .errors import messages_error, messages_error_reply, new_request_id
from .routes import messages_router, telemetry_router


class AnthropicDialect:
    """``/v1/messages``, for Claude Code and Anthropic's own clients."""

    json_lines = False
    line_end = "\n"
    stream_end: StreamEvent | None = None
    key_header = "x-api-key"
    any_model = True
    not_shown = frozenset({Capability.CHOICES, Capability.LOGPROBS})

    def owns(self, path: str) -> bool:
        return path == "/v1/messages" or path.startswith(("/v1/messages/", "/api/event_logging/"))

    def error_reply(self, error: ChatGLMServerError) -> ErrorReply:
        return messages_error_reply(error)

    def error_event(self, error: ChatGLMServerError) -> StreamEvent:
        return StreamEvent(messages_error(error, new_request_id()), "error")

    def router(self, service: Service, options: Options) -> APIRouter:
        router = APIRouter()
        router.include_router(messages_router(Endpoint(service.engine, self, options)))
        router.include_router(telemetry_router())
        return router
