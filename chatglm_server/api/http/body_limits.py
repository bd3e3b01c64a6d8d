"""Bounds on a request's body: its size, before and after decoding, and the time that it takes to arrive."""

from __future__ import annotations

import asyncio
import zlib

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import InvalidRequest, RequestTimeout, RequestTooLarge, UnsupportedMediaType
from ..errors import refuse

_GZIP = 31  # zlib's window bits for a gzip header and the largest window


class BodyLimits:
    """Lets the application read a body of at most `limit` bytes within `seconds`, decoded where it is gzip.

    Reading raises RequestTooLarge, RequestTimeout, or InvalidRequest for broken gzip.
    """

    def __init__(self, app: ASGIApp, limit: int, seconds: float) -> None:
        self._app = app
        self._limit = limit
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        coding = headers.get("content-encoding", "identity").strip().lower()
        if coding not in ("identity", "gzip", "x-gzip", ""):
            error = UnsupportedMediaType(
                "the body's Content-Encoding is not supported: send gzip, or the body as it is",
                param="Content-Encoding",
            )
            return await refuse(error, scope, receive, send)
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length) > self._limit:
            return await refuse(_too_large(self._limit), scope, receive, send)
        body = _Body(receive, self._limit, self._seconds, _Gunzip() if "gzip" in coding else None)
        if "gzip" in coding:  # the headers describe the body as it was sent, not as the application reads it
            dropped = (b"content-encoding", b"content-length")
            scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] not in dropped]}
        return await self._app(scope, body.receive, send)


class _Body:
    """One request's body as it arrives."""

    def __init__(self, receive: Receive, limit: int, seconds: float, gunzip: _Gunzip | None) -> None:
        self._receive = receive
        self._limit = limit
        self._seconds = seconds
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._gunzip = gunzip
        self._sent = self._decoded = 0
        self._ended = False

    async def receive(self) -> Message:
        """The next message. The time limit ends with the body: from then on the client waits for its answer.

        Raises: RequestTooLarge, RequestTimeout, InvalidRequest.
        """
        if self._ended:
            return await self._receive()
        message = await self._in_time()
        self._ended = message["type"] != "http.request" or not message.get("more_body", False)
        if message["type"] != "http.request":
            return message
        data = message.get("body", b"")
        self._sent += len(data)
        if self._gunzip is not None and self._sent <= self._limit:
            data = self._gunzip.decode(data, self._limit - self._decoded + 1)
        self._decoded += len(data)
        if max(self._sent, self._decoded) > self._limit:
            raise _too_large(self._limit)
        if self._ended and self._gunzip is not None:
            self._gunzip.check_end()
        return {**message, "body": data}

    async def _in_time(self) -> Message:
        remaining = self._deadline - asyncio.get_running_loop().time()
        try:
            return await asyncio.wait_for(self._receive(), max(remaining, 0.001))
        except asyncio.TimeoutError:
            raise RequestTimeout(
                f"the body did not arrive within {self._seconds:g} seconds (--request-timeout-s)"
            ) from None


class _Gunzip:
    """An incremental gzip decoder that never holds more than it is asked for."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_GZIP)
        self._started = False

    def decode(self, data: bytes, most: int) -> bytes:
        """The first `most` bytes at most of what `data` decodes to. Raises: InvalidRequest."""
        self._started = self._started or bool(data)
        try:
            decoded = self._stream.decompress(data, most)
        except zlib.error:
            raise InvalidRequest("the body is not valid gzip, as its Content-Encoding says") from None
        if self._stream.unused_data:
            raise InvalidRequest("the body goes on after the end of its gzip data")
        return decoded

    def check_end(self) -> None:
        """Raises: InvalidRequest if the data broke off."""
        if self._started and not self._stream.eof:
            raise InvalidRequest("the body's gzip data breaks off before its end")


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(f"the body is larger than {limit} bytes (--max-body-mb)")
