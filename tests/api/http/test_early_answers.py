"""An answer that comes before the body is over reaches clients that send all of it first; exact bytes, real sockets."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serving import RunningServer

KEY = "a key"
MEGABYTE = 1_000_000
ENDPOINT = "POST /v1/chat/completions"


@pytest.fixture(scope="module")
def keyed() -> Iterator[RunningServer]:
    with RunningServer("--api-key", KEY) as running:
        yield running


def connect(server: RunningServer, timeout: float = 20) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname or "", address.port or 0), timeout)


def read_all(client: socket.socket) -> bytes:
    """All that the server sends until it closes. Raises: ConnectionResetError."""
    received = b""
    while data := client.recv(65536):
        received += data
    return received


def send_then_read(server: RunningServer, request: str, headers: list[str], megabytes: int, chunked: bool) -> bytes:
    """The bytes that a client gets that reads only once it has sent all."""
    framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {megabytes * MEGABYTE}"
    head = "\r\n".join([f"{request} HTTP/1.1", framing, *headers, "", ""])
    piece = b"x" * MEGABYTE
    if chunked:
        piece = b"%x\r\n%s\r\n" % (MEGABYTE, piece)
    with connect(server) as client:
        client.sendall(head.encode())
        for _ in range(megabytes):
            client.sendall(piece)
        if chunked:
            client.sendall(b"0\r\n\r\n")
        return read_all(client)


def status_and_error(answer: bytes) -> tuple[int, dict[str, Any]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    error: dict[str, Any] = json.loads(body)["error"]
    return int(head.split()[1]), error


HOST, JSON, RIGHT_KEY = "Host: localhost", "Content-Type: application/json", f"Authorization: Bearer {KEY}"
EARLY = [
    (ENDPOINT, [HOST, JSON, RIGHT_KEY], 20, 413, "--max-body-mb"),
    (ENDPOINT, [HOST, JSON], 20, 401, "API key"),
    (ENDPOINT, ["Host: evil.example", JSON], 20, 403, "--allowed-host"),
    ("POST /nope", [HOST, JSON, RIGHT_KEY], 7, 404, "/nope"),
    ("PUT /v1/models", [HOST, JSON, RIGHT_KEY], 7, 405, "PUT"),
    (ENDPOINT, [HOST, "Content-Type: text/plain", RIGHT_KEY], 7, 415, "application/json"),
    (ENDPOINT, [HOST, JSON, "Content-Encoding: br", RIGHT_KEY], 20, 415, "gzip"),
]


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
@pytest.mark.parametrize("last_request", [False, True], ids=["keep-alive", "close"])
@pytest.mark.parametrize(
    ("request_line", "headers", "megabytes", "status", "named"), EARLY, ids=[f"{row[3]}-{row[4]}" for row in EARLY]
)
def test_client_that_reads_only_after_it_has_sent_all(
    keyed: RunningServer,
    request_line: str,
    headers: list[str],
    megabytes: int,
    status: int,
    named: str,
    last_request: bool,
    chunked: bool,
) -> None:
    closing = ["Connection: close"] if last_request else []
    got, error = status_and_error(send_then_read(keyed, request_line, headers + closing, megabytes, chunked))
    assert (got, named in error["message"]) == (status, True), error


def test_client_that_reads_at_once_gets_the_answer_at_once(keyed: RunningServer) -> None:
    """The answer does not wait for the body, of which this client sends a tenth."""
    with connect(keyed) as client:
        client.sendall(f"{ENDPOINT} HTTP/1.1\r\n{HOST}\r\n{JSON}\r\nContent-Length: 20000000\r\n\r\n".encode())
        client.sendall(b"x" * 2 * MEGABYTE)
        started = time.monotonic()
        assert client.recv(65536).startswith(b"HTTP/1.1 401 ")
        assert time.monotonic() - started < 2


def test_client_that_falls_silent_is_left(keyed: RunningServer) -> None:
    """A client that neither sends the rest nor closes does not keep its connection."""
    with connect(keyed, timeout=20) as client:
        client.sendall(f"{ENDPOINT} HTTP/1.1\r\n{HOST}\r\n{JSON}\r\nContent-Length: 20000000\r\n\r\n".encode())
        assert read_all(client).startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(("key", "status"), [("wrong", 401), (KEY, 413)])
def test_expect_100_continue(keyed: RunningServer, key: str, status: int) -> None:
    """The client asks before it sends: it is answered at once, is not told to go on, and the connection closes."""
    head = [f"{ENDPOINT} HTTP/1.1", HOST, JSON, f"Authorization: Bearer {key}", "Content-Length: 20000000"]
    with connect(keyed) as client:
        client.sendall("\r\n".join([*head, "Expect: 100-continue", "", ""]).encode())
        answer = client.recv(65536)
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(("key", "status"), [("wrong", "401"), (KEY, "413")])
def test_curl_with_a_large_file(keyed: RunningServer, tmp_path: Path, key: str, status: str) -> None:
    """curl asks with Expect: 100-continue for bodies over 1 MB."""
    (tmp_path / "large").write_bytes(b"x" * 20 * MEGABYTE)
    command = ["curl", "-s", "-S", "-w", "%{http_code}", "-H", JSON, "-H", f"Authorization: Bearer {key}"]
    command += ["--data-binary", f"@{tmp_path / 'large'}", f"{keyed.url}/v1/chat/completions"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.endswith(status)


def test_connection_is_kept_after_a_small_body(keyed: RunningServer) -> None:
    """A refused request of the usual size costs no connection: the next one goes over the same."""
    refused = f"{ENDPOINT} HTTP/1.1\r\n{HOST}\r\n{JSON}\r\nContent-Length: 1000\r\n\r\n".encode() + b"x" * 1000
    with connect(keyed) as client:
        for _ in range(3):
            client.sendall(refused)
            response = HTTPResponse(client)
            response.begin()
            assert (response.status, response.getheader("Connection")) == (401, None)
            assert json.loads(response.read())["error"]
        client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert read_all(client).startswith(b"HTTP/1.1 200 ")
