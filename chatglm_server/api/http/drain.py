"""Lets a client finish sending its body, so that it can read an answer that came early."""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_MAX_BYTES = 100_000_000
_MAX_S = 30.0
_MAX_SILENCE_S = 5.0
_SMALL_BYTES = 65_536  # a body up to here is quick to read on: the connection can be kept


class DrainBody:
    """Reads and drops what the application left of a body, before the response's end.

    Many clients send all of a body before they read the answer. If the server answers early (401, 404, 413 …) and
    closes the connection with bytes unread, the client gets a reset and never sees the answer. So the answer goes out
    at once, its end only when the body is over. Reading on is bounded in bytes, time and silence.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            return await self._app(scope, receive, send)
        ended = False

        async def watched() -> Message:
            nonlocal ended
            message = await receive()
            ended = ended or message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def after_body(message: Message) -> None:
            if message["type"] == "http.response.start" and not ended and _must_close(headers, message["status"]):
                MutableHeaders(scope=message)["Connection"] = "close"
            if message["type"] == "http.response.body" and not message.get("more_body", False) and not ended:
                await send({**message, "more_body": True})
                await _drain(watched)
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        return await self._app(scope, watched, after_body)


def _must_close(headers: Headers, status: int) -> bool:
    """True if the connection cannot be used again once a response came early.

    A client that waits for "100 Continue" may send its body or not; a large or endless body may not be read to its end;
    a body that did not come in time (408) may never come.
    """
    length = headers.get("content-length", "")
    return status == 408 or "expect" in headers or not length.isdigit() or int(length) > _SMALL_BYTES


async def _drain(receive: Receive) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _MAX_S
    count = 0
    while count <= _MAX_BYTES:
        try:
            message = await asyncio.wait_for(receive(), min(_MAX_SILENCE_S, deadline - loop.time()))
        except asyncio.TimeoutError:
            return
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
        count += len(message.get("body", b""))
