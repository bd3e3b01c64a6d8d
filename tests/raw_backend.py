"""A backend that plays exact bytes over a real socket, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

UNTIL_THE_CLIENT_LEAVES = object()
"""In a script: wait until the other side closes its connection; `RawBackend.left` then says so. A float is a pause."""

MODELS = {"object": "list", "data": [{"id": "glm-4-9b-chat", "object": "model", "created": 7, "max_model_len": 4096}]}


_END = ("Connection: close", "", "")
"""Of a head: the backend closes the connection after its script, so a client must not send more on it."""


def whole(body: object, status: str = "200 OK", *headers: str) -> list[object]:
    """The script of one JSON response, or of one of another type if a header says so."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", *headers, f"Content-Length: {len(data)}", *_END]
    return ["\r\n".join(head).encode() + data]


def stream(*events: object, done: bool = True, end: bool = True) -> list[object]:
    """The script of a chunked event stream: JSON objects become events, bytes and waits stand as they are."""
    head = ["HTTP/1.1 200 OK", "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked", *_END]
    script: list[object] = ["\r\n".join(head).encode()]
    for event in [*events, *([b"data: [DONE]\n\n"] if done else [])]:
        if isinstance(event, dict):
            event = f"data: {json.dumps(event)}\n\n".encode()
        script.append(b"%x\r\n%s\r\n" % (len(event), event) if isinstance(event, bytes) else event)
    return [*script, b"0\r\n\r\n"] if end else script


def delta(fields: dict[str, Any] | None = None, reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of a chat stream."""
    choice = {"index": 0, "delta": fields or {}, "finish_reason": reason}
    return {"id": "x", "object": "chat.completion.chunk", "model": "backend-model", "choices": [choice], **more}


def text(content: str, size: int = 1) -> list[dict[str, Any]]:
    """The chunks of a text, `size` characters each."""
    return [delta({"content": content[start : start + size]}) for start in range(0, len(content), size)]


@dataclass(slots=True)
class Received:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class RawBackend:
    """Answers ``GET …/models`` with `models`, and everything else with `script`; either may be endless."""

    port: int = 0
    script: Iterable[object] = ()
    models: Iterable[object] = field(default_factory=lambda: whole(MODELS))
    requests: list[Received] = field(default_factory=list)
    lists: int = 0
    """How often the list of models was asked for."""
    left: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def play(self, script: Iterable[object]) -> None:
        """Answer with `script` from now on, and forget what was."""
        self.script = script
        self.requests.clear()
        self.left.clear()

    def __enter__(self) -> RawBackend:
        started = threading.Event()

        async def serve() -> None:
            self._server = server = await asyncio.start_server(self._handle, "127.0.0.1", self.port)
            self.port = server.sockets[0].getsockname()[1]
            started.set()

        def run() -> None:
            asyncio.set_event_loop(self._loop)
            self._loop.create_task(serve())
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert started.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        assert self._thread is not None
        asyncio.run_coroutine_threadsafe(self._close(self._server), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    async def _close(self, server: asyncio.Server) -> None:
        """Ends the server and its connections, so that no coroutine is left unfinished."""
        server.close()
        connections = asyncio.all_tasks() - {asyncio.current_task()}
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            if head[0].startswith("GET"):
                script = self.models
                self.lists += 1
            else:
                self.requests.append(Received(head[0], headers, json.loads(body)))
                script = self.script
            for part in script:
                if part is UNTIL_THE_CLIENT_LEAVES:
                    await reader.read()
                    self.left.set()
                elif isinstance(part, float):
                    await asyncio.sleep(part)
                else:
                    assert isinstance(part, bytes)
                    writer.write(part)
                    await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()
