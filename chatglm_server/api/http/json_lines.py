"""A stream of lines, each one JSON object (NDJSON)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import anyio
import pydantic_core
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from ..dialect import AnswerShape, Dialect, StreamEvent
from .keep_alive import kept_alive
from .stream_end import with_end


def json_lines(
    events: AsyncGenerator[StreamEvent, None],
    dialect: Dialect,
    keep_alive_s: float,
    shape: AnswerShape,
    send_timeout_s: float = 60.0,
) -> StreamingResponse:
    """A response that sends the data of `events`; an error on the way is sent as the last line.

    `shape` says what to send every `keep_alive_s` seconds; without an event there it is nothing. A client that takes
    nothing for `send_timeout_s` seconds counts as gone.
    """

    def sign_of_life() -> bytes | None:
        event = shape.waiting()
        return None if event is None else _line(event, dialect)

    lines = kept_alive(_lines(events, dialect, shape), keep_alive_s, sign_of_life)
    return _JsonLines(lines, send_timeout_s)


class _JsonLines(StreamingResponse):
    def __init__(self, lines: AsyncGenerator[bytes, None], send_timeout_s: float) -> None:
        super().__init__(lines, headers={"Cache-Control": "no-cache"}, media_type="application/x-ndjson")
        self._lines = lines
        self._send_timeout_s = send_timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            with anyio.fail_after(self._send_timeout_s):
                await send(message)

        async with aclosing(self._lines):  # a client that leaves must free the model at once
            with suppress(TimeoutError):
                await super().__call__(scope, receive, send_in_time)


async def _lines(
    events: AsyncGenerator[StreamEvent, None], dialect: Dialect, shape: AnswerShape
) -> AsyncGenerator[bytes, None]:
    async with aclosing(with_end(events, dialect, shape)) as ended:
        async for event in ended:
            yield _line(event, dialect)


def _line(event: StreamEvent, dialect: Dialect) -> bytes:
    return pydantic_core.to_json(event.data) + dialect.line_end.encode()
