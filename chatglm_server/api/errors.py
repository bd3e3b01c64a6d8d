"""Errors as responses: OpenAI's error object, for those we know and those we do not."""

from __future__ import annotations

import logging

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import INTERNAL_ERROR, ChatGLMServerError
from .access_log import request_record

_log = logging.getLogger("chatglm_server")


def error_response(error: ChatGLMServerError) -> JSONResponse:
    """`error` in OpenAI's shape."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(error.body(), error.status, headers)


async def refuse(error: ChatGLMServerError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request with `error`, from a middleware. The log line says why."""
    request_record(scope).refuse(error)
    await error_response(error)(scope, receive, send)


class InternalErrors:
    """Answers an unforeseen exception with a 500. Inside all other middleware: the response passes through them."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except Exception as error:
            log_internal_error(error)
            if not started:
                await refuse(ChatGLMServerError(INTERNAL_ERROR), scope, receive, send)


def log_internal_error(error: Exception) -> None:
    """Log an exception's type and the places it passed, innermost last; not its text, which may quote a user."""
    trace = error.__traceback__
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} in {code.co_name}")
        trace = trace.tb_next
    _log.error("internal error: %s\n  %s", type(error).__name__, "\n  ".join(places[-12:]))
