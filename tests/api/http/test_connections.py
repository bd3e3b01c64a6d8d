"""Clients that are slow, silent or too many: each is closed in time, and the others are served meanwhile."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from chatglm_bin_writer import DType

from chatglm_server.api.http.connection import BACKLOG, MAX_CONNECTIONS
from tests.random_models import write_random_model
from tests.serving import RunningServer, user

LIMIT_S = 1
PARTIAL_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-"
HEAD = PARTIAL_HEAD + b"Type: application/json\r\nContent-Length: 200\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with a short limit, whose answers take twice as long."""
    recorded = {"raw": "x" * 20, "format": "chatglm3", "chunk_size": 1, "delay_ms": LIMIT_S * 100}
    path = tmp_path_factory.mktemp("recordings") / "slow.jsonl"
    path.write_text(json.dumps(recorded) + "\n")
    with RunningServer("--model", f"replay:{path}", "--request-timeout-s", str(LIMIT_S)) as running:
        yield running


def connect(server: RunningServer, sent: bytes = b"") -> socket.socket:
    address = urlsplit(server.url)
    client = socket.create_connection((address.hostname or "", address.port or 0), 30)
    client.sendall(sent)
    return client


def answer(client: socket.socket) -> tuple[int, dict[str, object]]:
    """The next answer on this connection: its status and its JSON."""
    response = HTTPResponse(client)
    response.begin()
    body: dict[str, object] = json.loads(response.read())
    return response.status, body


def error_code(body: dict[str, object]) -> object:
    assert isinstance(body["error"], dict)
    return body["error"]["code"]


def descriptors(server: RunningServer) -> int:
    return sum(1 for _ in Path(f"/proc/{server.process.pid}/fd").iterdir())


def drip(client: socket.socket, data: bytes, seconds: float) -> None:
    """Send a byte at a time until the server closes or the time is over."""
    deadline = time.monotonic() + seconds
    with contextlib.suppress(ConnectionError):
        for byte in data:
            if time.monotonic() > deadline:
                return
            client.sendall(bytes([byte]))
            time.sleep(0.05)


@pytest.mark.parametrize("dripping", [False, True])
def test_head_that_does_not_come(hasty: RunningServer, dripping: bool) -> None:
    started = time.monotonic()
    with connect(hasty, PARTIAL_HEAD) as client:
        if dripping:
            drip(client, b"Type: x" * 100, LIMIT_S * 0.9)
        status, body = answer(client)
        assert (status, error_code(body)) == (408, "request_timeout")
        assert "--request-timeout-s" in str(body)
        assert client.recv(1) == b""
    assert LIMIT_S * 0.9 < time.monotonic() - started < LIMIT_S + 2


def test_connection_on_which_nothing_comes(hasty: RunningServer) -> None:
    """It is closed without a word: browsers open connections ahead, and would take a word for the next answer."""
    with connect(hasty) as client:
        assert client.recv(1) == b""


@pytest.mark.parametrize("dripping", [False, True])
def test_body_that_does_not_come(hasty: RunningServer, dripping: bool) -> None:
    started = time.monotonic()
    with connect(hasty, HEAD) as client:
        if dripping:
            drip(client, b" " * 199, LIMIT_S * 0.9)
        response = HTTPResponse(client)
        response.begin()
        body = json.loads(response.read())
        assert (response.status, error_code(body)) == (408, "request_timeout")
        assert response.headers["connection"] == "close"
        assert "--request-timeout-s" in str(body)
    assert LIMIT_S * 0.9 < time.monotonic() - started < LIMIT_S + 2
    hasty.wait_for_line("408")


def test_connection_in_use_outlives_the_limit(hasty: RunningServer) -> None:
    """The limit is for each request's arrival, not for a connection's life, nor for the time that an answer takes."""
    with connect(hasty) as client:
        for _ in range(4):
            time.sleep(LIMIT_S * 0.4)
            client.sendall(HEALTH)
            assert answer(client)[0] == 200
        client.sendall(PARTIAL_HEAD)
        assert answer(client)[0] == 408
    started = time.monotonic()
    assert hasty.post(json={"messages": user("Tell me a story.")}).status_code == 200
    assert time.monotonic() - started > LIMIT_S


def test_two_requests_at_once(hasty: RunningServer) -> None:
    with connect(hasty, HEALTH + HEALTH + PARTIAL_HEAD) as client:
        pipelined = client.makefile("rb")
        for _ in range(2):
            assert pipelined.readline() == b"HTTP/1.1 200 OK\r\n"
            length = 0
            while (line := pipelined.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            assert json.loads(pipelined.read(length))["status"] == "ok"
        assert pipelined.readline().startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01 TLS\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000]
)
def test_not_http(hasty: RunningServer, sent: bytes) -> None:
    with connect(hasty) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(sent)
        status, body = answer(client)
        assert (status, error_code(body)) == (400, "invalid_value")


@pytest.mark.parametrize("path", [b"/v1/chat/completions", b"/nope"])
@pytest.mark.parametrize("answered_first", [False, True])
def test_body_that_is_not_http(hasty: RunningServer, path: bytes, answered_first: bool) -> None:
    """Sent before an answer, it makes that a 400; sent after it, the connection closes, and no more."""
    head = (
        b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    broken = b"not a chunk\r\n"
    with connect(hasty, head % path + (b"" if answered_first else broken)) as client:
        if answered_first:
            time.sleep(0.2)
            client.sendall(broken)
        assert answer(client)[0] == (404 if path == b"/nope" and answered_first else 400)
        assert client.recv(1) == b""
    assert hasty.health()["status"] == "ok"
    assert "Traceback" not in hasty.output


def test_hundreds_of_unfinished_requests_keep_nobody_out() -> None:
    """More connections than the server keeps, none with a whole request: the oldest give way."""
    count = MAX_CONNECTIONS + 400
    with RunningServer() as server, contextlib.ExitStack() as open_sockets:
        idle = descriptors(server)
        clients = []
        for number in range(count):
            clients.append(open_sockets.enter_context(connect(server, (b"", PARTIAL_HEAD, HEAD)[number % 3])))
            if number % 100 == 99:
                started = time.monotonic()
                assert server.post(json={"messages": user("Hello!"), "max_tokens": 1}).status_code == 200
                assert time.monotonic() - started < 5
                assert descriptors(server) <= idle + MAX_CONNECTIONS + BACKLOG
        deadline = time.monotonic() + 10
        while descriptors(server) > idle + MAX_CONNECTIONS + 2:
            assert time.monotonic() < deadline, descriptors(server)
            time.sleep(0.05)
        assert server.health()["status"] == "ok"
        status, body = answer(clients[1])  # the first with a partial head
        assert (status, error_code(body)) == (408, "request_timeout")
        newest = max(number for number in range(count) if number % 3 == 2)
        clients[newest].sendall(b" " * 200)  # its body is still awaited
        assert answer(clients[newest])[0] == 400


def test_all_connections_are_being_answered(tmp_path: Path) -> None:
    """A further client gets a clear answer; once the others are gone, it is served."""
    model = write_random_model(
        tmp_path / "slow.bin", dtype=DType.F16, hidden=512, layers=3, max_length=32768, logits={300: 5.0}
    )
    body = json.dumps({"prompt": "the", "max_tokens": 30000, "temperature": 0}).encode()
    whole = HEAD.replace(b"/chat", b"").replace(b": 200", b": %d" % len(body)) + body
    with RunningServer("--model", str(model), "--parallel", "1", "--max-queue", "1000") as server:
        with contextlib.ExitStack() as open_sockets:
            for _ in range(MAX_CONNECTIONS - 1):
                open_sockets.enter_context(connect(server, whole))
            server.wait_for_queue(running=1, waiting=MAX_CONNECTIONS - 2)
            open_sockets.enter_context(connect(server, whole))
            deadline = time.monotonic() + 10
            while (refused := httpx.get(f"{server.url}/health")).status_code != 503:
                assert time.monotonic() < deadline
            assert refused.json()["error"]["code"] == "too_many_connections"
            assert int(refused.headers["retry-after"]) > 0
        server.wait_for_line("error=too_many_connections")
        deadline = time.monotonic() + 30
        while (served := httpx.get(f"{server.url}/health")).status_code == 503:
            assert time.monotonic() < deadline
        assert served.json()["status"] == "ok"
        server.wait_for_queue(running=0, waiting=0)


def test_answers_that_nobody_reads_pause_and_are_whole_later(server: RunningServer) -> None:
    """The system's buffers would take answers of thousands of tokens whole, while other requests wait for them."""
    question = {"messages": user("Hello!"), "max_tokens": 3500, "ignore_eos": True, "temperature": 1, "seed": 1}
    body = json.dumps(question | {"stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    request = head.encode() + b"Content-Type: application/json\r\nConnection: close\r\n\r\n" + body
    with contextlib.ExitStack() as clients:
        silent = [clients.enter_context(connect(server, request)) for _ in range(4)]
        server.wait_for_queue(running=0, waiting=4, timeout=60)
        assert server.post(json={"messages": user("Hello!")}).status_code == 200
        response = HTTPResponse(silent[0])
        response.begin()
        *events, end, _ = response.read().split(b"\n\n")
    assert end == b"data: [DONE]"
    deltas = [json.loads(event.removeprefix(b"data: "))["choices"][0]["delta"] for event in events if event[:1] != b":"]
    whole = server.post(json=question).json()["choices"][0]["message"]["content"]
    assert "".join(delta.get("content") or "" for delta in deltas) == whole
    server.wait_for_queue(running=0, waiting=0)
