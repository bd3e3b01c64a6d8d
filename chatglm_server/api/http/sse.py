"""Server-sent events: one JSON object on each data line, and signs of life while there is nothing to say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress

import anyio
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

from ..dialect import AnswerShape, Dialect, StreamEvent
from .stream_end import with_end

_NEVER_S = 1e9
_GRACE_S = 10.0  # for the last token, and the error event when the server stops


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
        _kept_alive(_lines(events, dialect, shape), keep_alive_s, sign_of_life),
        headers={"Cache-Control": "no-cache"},
        ping=_NEVER_S,  # they would run beside the stream and overtake events with numbers
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


async def _kept_alive(
    lines: AsyncGenerator[ServerSentEvent, None], seconds: float, sign: Callable[[], ServerSentEvent]
) -> AsyncIterator[ServerSentEvent]:
    """`lines`, and every `seconds` seconds what `sign` gives, made when it is its turn to be sent."""
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    coming: asyncio.Future[ServerSentEvent | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(lines, None))
            await asyncio.wait({coming}, timeout=max(0.0, due - loop.time()))
            if coming.done():
                line, coming = coming.result(), None
                if line is None:
                    return
                yield line
            if loop.time() >= due:
                yield sign()
                due = loop.time() + seconds
    finally:
        with anyio.move_on_after(_GRACE_S, shield=True):  # a client that leaves cancels all that is not shielded
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})
            await lines.aclose()


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
