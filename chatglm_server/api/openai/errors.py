"""OpenAI's error object: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from pydantic import BaseModel

from ...errors import ChatGLMServerError, UpstreamError
from ..dialect import ErrorReply, Json

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ErrorObject(BaseModel):
    """An error: `param` is the field of the request, `code` is for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorObject


def openai_error(error: ChatGLMServerError) -> Json:
    """The body that says `error`; another server's error keeps that server's type."""
    kind = error.type if isinstance(error, UpstreamError) else None
    if kind is None:
        other = "server_error" if error.status >= 500 and error.status != 501 else "invalid_request_error"
        kind = _TYPES.get(error.status, other)
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def openai_error_reply(error: ChatGLMServerError) -> ErrorReply:
    """`error` as a response, with the headers that clients act on."""
    headers = {} if error.retry_after is None else {"Retry-After": str(error.retry_after)}
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return ErrorReply(error.status, openai_error(error), headers)
