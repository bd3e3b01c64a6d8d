"""Anthropic's error object: ``{"type": "error", "error": {"type", "message"}, "request_id"}``.

Source: https://docs.anthropic.com/en/api/errors, and the exceptions of anthropic-sdk-python.
"""

from __future__ import annotations

import secrets
from typing import Literal

from pydantic import BaseModel

from ...errors import ChatGLMServerError, ContextLengthExceeded
from ..dialect import ErrorReply, Json

_OVERLOADED = 529
_STATUSES = {503: _OVERLOADED}
"""Statuses that Anthropic's API has not, each with the one that says the same there."""

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    501: "invalid_request_error",
    504: "timeout_error",
    _OVERLOADED: "overloaded_error",
}


class MessagesErrorObject(BaseModel):
    """An error: `type` is for programs."""

    type: str
    message: str


class MessagesErrorBody(BaseModel):
    """The body of every error."""

    type: Literal["error"]
    error: MessagesErrorObject
    request_id: str


def new_request_id() -> str:
    """A fresh id of a request, for the header ``request-id``."""
    return "req_" + secrets.token_hex(12)


def messages_error(error: ChatGLMServerError, request_id: str) -> Json:
    """The body that says `error`."""
    other = "api_error" if error.status >= 500 else "invalid_request_error"
    kind = _TYPES.get(_status(error), other)
    return {"type": "error", "error": {"type": kind, "message": _message(error)}, "request_id": request_id}


def messages_error_reply(error: ChatGLMServerError) -> ErrorReply:
    """`error` as a response, with the headers that clients act on."""
    request_id = new_request_id()
    headers = {"request-id": request_id}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == 501:
        headers["x-should-retry"] = "false"  # clients retry every status from 500 on
    return ErrorReply(_status(error), messages_error(error, request_id), headers)


def _status(error: ChatGLMServerError) -> int:
    return _STATUSES.get(error.status, error.status)


def _message(error: ChatGLMServerError) -> str:
    """The error's message, and the field, for which the object has no place of its own.

    Claude Code parses both figures of a prompt that is too long, and compacts the conversation.
    """
    if isinstance(error, ContextLengthExceeded):
        return f"prompt is too long: {error.length} tokens > {error.limit} maximum"
    if error.param is not None and error.param not in error.message:
        return f"{error.param}: {error.message}"
    return error.message
