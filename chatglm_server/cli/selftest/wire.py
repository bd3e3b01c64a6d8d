"""Requests to the server under test, each within a time and a size, and what comes back as it is on the wire."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx

from ...engine.upstream.address import LOOPBACK
from ...json_text import is_too_deep

_MOST_BYTES = 16 << 20
_CHAT = "/chat/completions"
_LINE_END = re.compile(r"\r\n|\n|\r")


class NoAnswer(Exception):
    """The server cannot be reached, breaks off, or takes too long; the message says which."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole response. `value` is its JSON, or None if it holds none."""

    status: int
    headers: httpx.Headers
    value: Any


@dataclass(slots=True)
class Stream:
    """A streamed response: the objects of its events in order, and what is wrong with the events themselves."""

    status: int
    headers: httpx.Headers
    chunks: list[dict[str, Any]] = field(default_factory=list)
    dones: int = 0
    """How often ``data: [DONE]`` came."""
    after_done: bool = False
    """Whether another event came behind it."""
    framing: str = ""
    """The first fault of the framing, or ""."""


class Server:
    """An OpenAI-compatible server at an address that ends before ``/chat/completions``."""

    def __init__(self, address: str, key: str | None, timeout_s: float) -> None:
        """`timeout_s`: seconds that a response may take, whole. Raises: NoAnswer for a proxy that cannot be used."""
        self.address = address
        self._timeout_s = timeout_s
        headers = {"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {})
        use_proxy = httpx.URL(address).host not in LOOPBACK
        try:
            self._client = httpx.AsyncClient(headers=headers, timeout=timeout_s, trust_env=use_proxy)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise NoAnswer(f"the proxy that the environment names: {error}") from None

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, path: str) -> Reply:
        """Raises: NoAnswer."""
        async with self._response("GET", path, b"") as response:
            return _reply(response, await _read(response))

    async def post(self, body: dict[str, Any] | bytes) -> Reply:
        """A chat request whose response is read as JSON. Raises: NoAnswer."""
        async with self._response("POST", _CHAT, body) as response:
            return _reply(response, await _read(response))

    async def stream(self, body: dict[str, Any]) -> Stream:
        """A chat request whose response is read as a stream of events. Raises: NoAnswer."""
        async with self._response("POST", _CHAT, body | {"stream": True}) as response:
            return _stream(response, await _read(response))

    async def leave(self, body: dict[str, Any]) -> bool:
        """Closes the connection after a stream's first event. True if the stream had not ended. Raises: NoAnswer."""
        async with self._response("POST", _CHAT, body | {"stream": True}) as response:
            begun = b""
            async for part in response.aiter_raw():
                begun += part
                if b"data:" in begun or len(begun) > _MOST_BYTES:
                    break
        return response.status_code == 200 and b"data:" in begun and b"[DONE]" not in begun

    @asynccontextmanager
    async def _response(self, method: str, path: str, body: dict[str, Any] | bytes) -> AsyncIterator[httpx.Response]:
        content = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        url = self.address + path
        try:
            with anyio.fail_after(self._timeout_s):
                async with self._client.stream(method, url, content=content, headers=headers) as response:
                    yield response
        except (TimeoutError, httpx.TimeoutException):
            raise NoAnswer(f"no end of the response after {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}") from None


def parse_json(text: str) -> Any:
    """The JSON value, or None if there is none or it is nested too deep."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return None if is_too_deep(value) else value


async def _read(response: httpx.Response) -> bytes:
    """Raises: NoAnswer."""
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > _MOST_BYTES:
            raise NoAnswer(f"the response is longer than {_MOST_BYTES >> 20} MiB")
    return bytes(content)


def _reply(response: httpx.Response, content: bytes) -> Reply:
    return Reply(response.status_code, response.headers, parse_json(content.decode(errors="replace")))


def _stream(response: httpx.Response, content: bytes) -> Stream:
    stream = Stream(response.status_code, response.headers)
    faults = list(_read_events(stream, content))
    stream.framing = faults[0] if faults else ""
    return stream


def _read_events(stream: Stream, content: bytes) -> Iterator[str]:
    """Fills in the stream's chunks. Yields what is wrong with the framing."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        yield f"byte {error.start} is not UTF-8"
        text = content.decode(errors="replace")
    *lines, rest = _LINE_END.split(text)
    if rest or (lines and lines[-1]):
        yield "the last event does not end with an empty line"
    data: list[str] = []
    for line in [*lines, rest, ""]:
        if line.startswith("data:"):
            if line[5:6] != " ":
                yield 'no blank after "data:"'
            data.append(line.removeprefix("data:").removeprefix(" "))
        elif line == "" and data:
            yield from _read_event(stream, data)
            data = []
        elif line and not line.startswith(":"):
            yield f"a line that is neither data nor a comment: {line[:60]!r}"


def _read_event(stream: Stream, data: list[str]) -> Iterator[str]:
    if len(data) > 1:
        yield f"an event of {len(data)} lines of data"
    stream.after_done |= stream.dones > 0
    if data == ["[DONE]"]:
        stream.dones += 1
        return
    chunk = parse_json("\n".join(data))
    if isinstance(chunk, dict):
        stream.chunks.append(chunk)
    else:
        yield f"an event that is no JSON object: {data[0][:60]!r}"
