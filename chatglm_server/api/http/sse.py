"""Server-sent events: one JSON object on each data line, and signs of life while there is nothing to say."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from ...errors import INTERNAL_ERROR, ChatGLMServerError
from ..dialect import AnswerShape, Dialect, StreamEvent
from .internal_errors import log_internal_error

_GRACE_S = 10.0  # for the last token and the error event when the server stops


def event_stream(
    events: AsyncGenerator[StreamEvent, None],
    dialect: Dialect,
    keep_alive_s: float,
    shape: AnswerShape,
    send_timeout_s: float = 60.0,
) -> EventSourceResponse:
    """A response that sends `events`, then the dialect's end; an error on the way is sent as the last event.

    `shape` says the error, and what to send every `keep_alive_s` seconds. A client that takes nothing for
    `send_timeout_s` seconds counts as gone.
    """
    sep = dialect.line_end

    def sign_of_life() -> ServerSentEvent:
        event = shape.waiting()
        return ServerSentEvent(comment="keep-alive", sep=sep) if event is None else _line(event, sep)

    return _EventStream(
        _lines(events, dialect, shape),
        headers={"Cache-Control": "no-cache"},
        ping=keep_alive_s,
        ping_message_factory=sign_of_life,
        sep=sep,
        send_timeout=send_timeout_s,
        # The engine ends its streams itself when the server stops; sse-starlette only has to wait for that.
        shutdown_event=anyio.Event(),
        shutdown_grace_period=_GRACE_S,
    )


class _EventStream(EventSourceResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(SendTimeoutError):
            await super().__call__(scope, receive, send)


async def _lines(
    events: AsyncGenerator[StreamEvent, None], dialect: Dialect, shape: AnswerShape
) -> AsyncIterator[ServerSentEvent]:
    sep = dialect.line_end

    def failure(error: ChatGLMServerError) -> ServerSentEvent:
        return _line(shape.failed(error) or dialect.error_event(error), sep)

    try:
        async with aclosing(events):
            async for event in events:
                yield _line(event, sep)
    except ChatGLMServerError as error:
        yield failure(error)
    except Exception as error:
        log_internal_error(error)
        yield failure(ChatGLMServerError(INTERNAL_ERROR))
    else:
        if dialect.stream_end is not None:
            yield _line(dialect.stream_end, sep)


def _line(event: StreamEvent, sep: str) -> ServerSentEvent:
    data = event.data
    if not isinstance(data, str):
        data = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(data=data, event=event.name, sep=sep)
