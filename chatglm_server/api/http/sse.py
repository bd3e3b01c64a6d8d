"""Server-sent events: one JSON object on each data line, and signs of life while there is nothing to say."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from ..dialect import Dialect, StreamEvent
from .stream_end import with_end

_GRACE_S = 10.0  # for the last token and the error event when the server stops


def event_stream(
    events: AsyncGenerator[StreamEvent, None],
    dialect: Dialect,
    keep_alive_s: float,
    waiting: Callable[[], StreamEvent | None],
    send_timeout_s: float = 60.0,
) -> EventSourceResponse:
    """A response that sends `events`, then the dialect's end; an error on the way is sent as the last event.

    Every `keep_alive_s` seconds it sends what `waiting` gives, or a comment. A client that takes nothing for
    `send_timeout_s` seconds counts as gone.
    """
    sep = dialect.line_end

    def sign_of_life() -> ServerSentEvent:
        event = waiting()
        return ServerSentEvent(comment="keep-alive", sep=sep) if event is None else _line(event, sep)

    return _EventStream(
        _lines(events, dialect),
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


async def _lines(events: AsyncGenerator[StreamEvent, None], dialect: Dialect) -> AsyncIterator[ServerSentEvent]:
    async with aclosing(with_end(events, dialect)) as ended:
        async for event in ended:
            yield _line(event, dialect.line_end)


def _line(event: StreamEvent, sep: str) -> ServerSentEvent:
    data = event.data
    if not isinstance(data, str):
        data = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return ServerSentEvent(data=data, event=event.name, sep=sep)
