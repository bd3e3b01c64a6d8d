"""Server-sent events: one JSON object on each data line, and signs of life while there is nothing to say."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from ..dialect import AnswerShape, Dialect, StreamEvent
from .keep_alive import GRACE_S, kept_alive
from .stream_end import with_end

_NEVER_S = 1e9


def event_stream(
    events: AsyncGenerator[StreamEvent, None],
    dialect: Dialect,
    keep_alive_s: float,
    shape: AnswerShape,
    news: Callable[[], str] = str,
    send_timeout_s: float = 60.0,
) -> EventSourceResponse:
    """A response that sends `events`, then the dialect's end; an error on the way is sent as the last event.

    `shape` says the error, and what to send every `keep_alive_s` seconds: an event, or else a comment with the `news`.
    A client that takes nothing for `send_timeout_s` seconds counts as gone.
    """
    sep = dialect.line_end

    def sign_of_life() -> ServerSentEvent:
        event = shape.waiting()
        return ServerSentEvent(comment=news() or "keep-alive", sep=sep) if event is None else _line(event, sep)

    return _EventStream(
        kept_alive(_lines(events, dialect, shape), keep_alive_s, sign_of_life),
        headers={"Cache-Control": "no-cache"},
        ping=_NEVER_S,  # they would run beside the stream and overtake events with numbers
        sep=sep,
        send_timeout=send_timeout_s,
        # The engine ends its streams itself when the server stops; sse-starlette only has to wait for that.
        shutdown_event=anyio.Event(),
        shutdown_grace_period=GRACE_S,
    )


class _EventStream(EventSourceResponse):
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with suppress(SendTimeoutError):
            await super().__call__(scope, receive, send)


async def _lines(
    events: AsyncGenerator[StreamEvent, None], dialect: Dialect, shape: AnswerShape
) -> AsyncGenerator[ServerSentEvent, None]:
    async with aclosing(with_end(events, dialect, shape)) as ended:
        async for event in ended:
            yield _line(event, dialect.line_end)


def _line(event: StreamEvent, sep: str) -> ServerSentEvent:
    data = event.data
    if not isinstance(data, str):
        data = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(data=data, event=event.name, sep=sep)
