"""Errors as responses, in the dialect that the path belongs to, unforeseen ones too."""

from __future__ import annotations

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import INTERNAL_ERROR, ChatGLMServerError
from .dialects import dialect_of
from .http.access_log import request_record
from .http.internal_errors import log_internal_error


def error_response(error: ChatGLMServerError, path: str) -> JSONResponse:
    """`error` as the response to a request for `path`."""
    reply = dialect_of(path).error_reply(error)
    return JSONResponse(reply.body, reply.status, dict(reply.headers))


async def refuse(error: ChatGLMServerError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with `error`, from a middleware. The log line says why."""
    request_record(scope).refuse(error)
    await error_response(error, scope["path"])(scope, receive, send)


class InternalErrors:
    """Answers an unforeseen exception with a 500. Inside all other middleware: the response passes through them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_and_note)
        except Exception as error:
            log_internal_error(error)
            if not started:
                await refuse(ChatGLMServerError(INTERNAL_ERROR), scope, receive, send)
