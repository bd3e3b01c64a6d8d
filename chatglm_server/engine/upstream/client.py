"""HTTP to another OpenAI-compatible server: one pool of connections, and an error for every way to fail."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from email.utils import parsedate_to_datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import anyio
import httpx

from ...errors import (
    ChatGLMServerError,
    ContextLengthExceeded,
    QueueFull,
    ShuttingDown,
    UpstreamError,
    UpstreamFailure,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from .address import LOOPBACK
from .backend_json import NotJson, read_json
from .context_errors import read_too_long
from .event_reader import EventReader, EventTooLong

Json = dict[str, Any]
T = TypeVar("T")

MAX_EVENT_BYTES = 16 << 20
"""Limit for one event, and for an answer that is not a stream."""
MAX_STREAM_BYTES = 512 << 20
"""Limit for a stream: more than a million tokens. Clients that do not stream get it whole, out of memory."""
MAX_ERROR_BYTES = 64 << 10
MAX_ERROR_CHARACTERS = 2000
"""Limit for the message of an error, and for each of its other fields."""
MAX_CONNECTIONS = 256
CONNECT_S = 5.0
GET_S = 10.0
ERROR_S = 10.0
"""Limit for the time in which the body of an error arrives."""
CONNECT_RETRIES = 1
"""Applies before a connection is open. A request that was sent is not repeated: the backend may have acted on it."""

_LINGER_S = 1.0  # wait for the end of a response after its [DONE], so that the connection can be used again

logging.getLogger("httpx").setLevel(logging.WARNING)


class UpstreamClient:
    """Sends requests to the server at `address`, with the key for that server only."""

    def __init__(self, address: str, key: str | None, timeout_s: float) -> None:
        """`timeout_s`: seconds for which the server may be silent, and in which the head of its answer is complete."""
        self.address = address
        self._key = key
        self._timeout_s = timeout_s
        use_proxy = httpx.URL(address).host not in LOOPBACK
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=32, keepalive_expiry=2.0)
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            # one client's requests must not carry the cookies that another client's got
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S, pool=CONNECT_S),
            transport=None if use_proxy else httpx.AsyncHTTPTransport(limits=limits, retries=CONNECT_RETRIES),
            limits=limits,
            trust_env=use_proxy,
        )
        self._waits: set[anyio.CancelScope] = set()
        self._stopping = False

    def stop(self) -> None:
        """Ends all running and later requests with ShuttingDown. Safe in signal handlers."""
        self._stopping = True
        for scope in list(self._waits):
            scope.cancel()

    async def close(self) -> None:
        """Closes all connections."""
        await self._client.aclose()

    async def get(self, path: str, *, within_s: float = GET_S) -> Any:
        """Returns the JSON value at `path`. Raises: the errors of `stream`."""
        try:
            with anyio.fail_after(within_s):
                async with self._response("GET", path, None) as response:
                    return self._parsed(await self._read(response, MAX_EVENT_BYTES))
        except TimeoutError:
            raise UpstreamTimeout(f"the backend at {self.address} did not answer within {within_s:g} s") from None

    @asynccontextmanager
    async def stream(self, path: str, body: Json) -> AsyncIterator[AsyncGenerator[Json, None]]:
        """Gives the JSON objects of an answer as they arrive: many if it is streamed, else one.

        The request ends with the context: if the answer has not ended, its connection is closed.

        Raises: UpstreamUnreachable and QueueFull before the first object; UpstreamError, UpstreamTimeout,
        UpstreamFailure and ShuttingDown at any time.
        """
        async with self._response("POST", path, body) as response, aclosing(self._objects(response)) as objects:
            yield objects

    @asynccontextmanager
    async def _response(self, method: str, path: str, body: Json | None) -> AsyncIterator[httpx.Response]:
        request = self._client.build_request(method, self.address + path, json=body)
        # httpx limits each silence only: neither trickling headers nor interim responses without end would time out
        with self._translated(), anyio.fail_after(CONNECT_S + self._timeout_s):
            response = await self._unless_stopped(self._client.send(request, stream=True))
        try:
            if not response.is_success:
                raise await self._refusal(response)
            yield response
        finally:
            await response.aclose()

    async def _objects(self, response: httpx.Response) -> AsyncGenerator[Json, None]:
        if "event-stream" not in response.headers.get("content-type", ""):
            yield self._object(await self._read(response, MAX_EVENT_BYTES))
            return
        reader = EventReader(MAX_EVENT_BYTES)
        received = self._received(response)
        size = 0
        while True:
            with self._translated():
                chunk = await self._unless_stopped(anext(received, None))
                size += len(chunk or b"")
                if size > MAX_STREAM_BYTES:
                    raise UpstreamFailure(
                        f"the backend at {self.address} sent a stream longer than {MAX_STREAM_BYTES} bytes"
                    )
                events = reader.flush() if chunk is None else reader.feed(chunk)
            for event in events:
                if event.strip() == "[DONE]":
                    with anyio.move_on_after(_LINGER_S), suppress(httpx.HTTPError):  # the answer is whole already
                        async for _ in received:
                            pass
                    return
                yield self._object(event)
            if chunk is None:
                return

    async def _read(self, response: httpx.Response, limit: int) -> bytes:
        """Returns the body. Raises: UpstreamFailure if it is longer than `limit` bytes."""
        received = self._received(response)
        body = bytearray()
        while True:
            with self._translated():
                chunk = await self._unless_stopped(anext(received, None))
            if chunk is None:
                return bytes(body)
            body += chunk
            if len(body) > limit:
                raise UpstreamFailure(f"the backend at {self.address} sent more than {limit} bytes at once")

    def _received(self, response: httpx.Response) -> AsyncIterator[bytes]:
        """Returns the body as it arrives. Raises: UpstreamFailure if it is compressed.

        No server has to do that, as none is asked for it, and a few compressed bytes can expand to gigabytes.
        """
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise UpstreamFailure(f"the backend at {self.address} sent a compressed answer, which nobody asked it for")
        return response.aiter_raw()

    def _parsed(self, text: bytes | str) -> Any:
        try:
            return read_json(text)
        except NotJson as error:
            raise UpstreamFailure(f"the backend at {self.address} sent something that {error}") from None

    def _object(self, text: bytes | str) -> Json:
        value = self._parsed(text)
        if not isinstance(value, dict):
            raise UpstreamFailure(f"the backend at {self.address} sent JSON that is not an object")
        if value.get("error"):
            raise self._error(value["error"], 502)
        return value

    async def _refusal(self, response: httpx.Response) -> ChatGLMServerError:
        """Returns the error that a response stands for. A redirection is a failure: a client could not follow it."""
        status = response.status_code
        if not 400 <= status < 600:
            return UpstreamFailure(f"the backend at {self.address} answered {status}: is the address right?")
        text = ""
        with anyio.move_on_after(ERROR_S), suppress(UpstreamFailure, UpstreamTimeout):
            text = (await self._read(response, MAX_ERROR_BYTES)).decode("utf-8", "replace")
        try:
            value = read_json(text)
        except NotJson:
            value = text if "<html" not in text.lower() else ""
        error = value.get("error") or value if isinstance(value, dict) else value
        return self._error(error, status, _seconds(response.headers.get("retry-after")))

    def _error(self, error: Any, status: int, retry_after: int | None = None) -> ChatGLMServerError:
        """Reads a server's error: OpenAI's object, FastAPI's ``detail``, or text.

        It stays in that server's words, but for a prompt that is too long: our clients are told that in their own.
        """
        fields = error if isinstance(error, dict) else {"message": error}
        message = fields.get("message") or fields.get("detail")
        if not isinstance(message, str):
            message = json.dumps(message, ensure_ascii=False) if message else f"the backend answered {status}"
        shown = self._shown(message)
        if (lengths := read_too_long(fields, shown)) is not None:
            return ContextLengthExceeded(shown, length=lengths[0], limit=lengths[1])
        type, param, code = (
            self._shown(str(fields[name])) if isinstance(fields.get(name), str | int) else None
            for name in ("type", "param", "code")
        )
        return UpstreamError(shown, status=status, type=type, param=param, code=code, retry_after=retry_after)

    def _shown(self, text: str) -> str:
        """Returns a server's text as a client may see it: with a bounded length, and without the key."""
        text = text.strip()
        return (text.replace(self._key, "***") if self._key else text)[:MAX_ERROR_CHARACTERS]

    async def _unless_stopped(self, awaitable: Awaitable[T]) -> T:
        """Returns the result of `awaitable`. Raises: ShuttingDown as soon as `stop` is called."""
        result: list[T] = []
        with anyio.CancelScope() as scope:
            self._waits.add(scope)
            if self._stopping:
                scope.cancel()
            try:
                result.append(await awaitable)
            finally:
                self._waits.discard(scope)
        if not result:
            raise ShuttingDown("the server is shutting down; the answer was not finished")
        return result[0]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns httpx's exceptions into ours. Shows only connection errors: others may quote a header."""
        try:
            yield
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            why = str(error) or "no answer"
            raise UpstreamUnreachable(f"the backend at {self.address} cannot be reached: {why}") from None
        except httpx.PoolTimeout:
            raise QueueFull(f"{MAX_CONNECTIONS} requests wait for the backend already; try again soon") from None
        except httpx.TimeoutException:
            raise UpstreamTimeout(f"the backend at {self.address} was silent for {self._timeout_s:g} seconds") from None
        except TimeoutError:
            raise UpstreamTimeout(f"the backend at {self.address} sent the head of its answer too slowly") from None
        except httpx.HTTPError:
            raise UpstreamFailure(f"the backend at {self.address} broke off before its answer was complete") from None
        except EventTooLong as error:
            raise UpstreamFailure(f"the backend at {self.address} sent {error}") from None


def _seconds(retry_after: str | None) -> int | None:
    """Returns ``Retry-After``, a number of seconds or a date, in seconds; None if it is neither."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return int(retry_after[:9])
    try:
        return max(0, round(parsedate_to_datetime(retry_after).timestamp() - time.time()))
    except (ValueError, OverflowError):
        return None
