"""Decides, by the error of one server, whether another gets the request."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...errors import (
    ChatGLMServerError,
    QueueFull,
    ReplicaLost,
    ShuttingDown,
    UpstreamError,
    UpstreamFailure,
    UpstreamTimeout,
    UpstreamUnreachable,
)

_OF_THE_SERVER = (UpstreamUnreachable, UpstreamFailure, UpstreamTimeout, QueueFull)
_STATUSES_OF_THE_SERVER = (429, 502, 503)
_CODES_OF_ITS_END = (ShuttingDown.code, ReplicaLost.code)


def goes_elsewhere(error: ChatGLMServerError) -> bool:
    """True if the fault is the server's, so that another may answer the request."""
    if isinstance(error, UpstreamError):
        return error.status in _STATUSES_OF_THE_SERVER
    return isinstance(error, _OF_THE_SERVER)


def breaks_off(error: ChatGLMServerError) -> bool:
    """True if an answer ended by a fault of the server, or because it is a server of this kind that was stopped, or a
    cluster of them that lost the one that wrote the answer.
    """
    if isinstance(error, UpstreamError):
        return error.code in _CODES_OF_ITS_END
    return isinstance(error, UpstreamFailure | UpstreamTimeout)


def is_busy(error: ChatGLMServerError) -> bool:
    """True if the server is well, but takes no request now."""
    return error.status == QueueFull.status


def named(error: ChatGLMServerError, address: str) -> str:
    """Returns the message of `error`, which may be in the words of the server at `address`, with that address."""
    if address in error.message:
        return error.message
    return f"the backend at {address} answered {error.status}: {error.message}"


def all_failed(errors: Mapping[str, ChatGLMServerError]) -> ChatGLMServerError:
    """Returns the error for the client of a request that no server answered; `errors` are theirs, by address.

    If any says when to try again, the client hears the earliest.
    """
    if len(errors) == 1:
        return next(iter(errors.values()))
    later = [error for error in errors.values() if is_busy(error) or error.retry_after is not None]
    if later:
        return min(later, key=lambda error: math.inf if error.retry_after is None else error.retry_after)
    reasons = "; ".join(named(error, address) for address, error in errors.items())
    return UpstreamUnreachable(f"none of the {len(errors)} backends answers: {reasons}; start one, and try again")
