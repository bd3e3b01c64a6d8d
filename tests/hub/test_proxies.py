"""Proxies that the environment names: downloads go through them, to hosts that only the proxy can find."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer

import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.hub.http_client import http_client
from tests.hub.stand_in import Repository, StandIn, gguf
from tests.hub.test_huggingface import Machine

CONTENT = gguf(50_000)
NAMES = ("hf:glm/some", "ms:glm/some")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with StandIn({"glm/some": Repository({"GLM-Q4_0.gguf": CONTENT})}) as hub:
        yield hub


class SocksProxy(ThreadingTCPServer):
    """A SOCKS5 proxy (RFC 1928) that asks for no password, and takes every name for that of one server."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _SocksConnection)
        self.port = port
        self.asked: list[str] = []
        self.url = f"socks5://127.0.0.1:{self.server_address[1]}"


class _SocksConnection(StreamRequestHandler):
    server: SocksProxy

    def handle(self) -> None:
        _, methods = self.rfile.read(2)
        self.rfile.read(methods)
        self.wfile.write(b"\x05\x00")
        _, _, _, kind = self.rfile.read(4)
        host = self.rfile.read(self.rfile.read(1)[0] if kind == 3 else 4)
        self.rfile.read(2)  # the port
        self.server.asked.append(host.decode() if kind == 3 else socket.inet_ntoa(host))
        self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
        with socket.create_connection(("127.0.0.1", self.server.port)) as other:
            back = threading.Thread(target=_copy, args=(other, self.connection), daemon=True)
            back.start()
            while data := self.rfile.read1():
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
            back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)


@pytest.fixture
def socks(hub: StandIn) -> Iterator[SocksProxy]:
    with SocksProxy(hub.port) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        yield proxy
        proxy.shutdown()


@pytest.mark.parametrize("name", NAMES)
def test_an_http_proxy(hub: StandIn, tmp_path: Path, name: str) -> None:
    endpoint = "http://hub.example"
    environment = {"HF_ENDPOINT": endpoint, "MODELSCOPE_ENDPOINT": endpoint, "HTTP_PROXY": hub.url}
    (pulled,) = Machine(hub, tmp_path).run(f"pull {name}", **environment)
    assert (pulled.status, pulled.stderr) == (0, "")
    assert all(request.path.startswith("http://") for request in hub.requests)
    assert {request.host for request in hub.requests} == {"hub.example", f"localhost:{hub.port}"}


@pytest.mark.parametrize("name", NAMES)
def test_hosts_without_a_proxy(hub: StandIn, tmp_path: Path, name: str) -> None:
    environment = {"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "localhost,127.0.0.1"}
    (pulled,) = Machine(hub, tmp_path).run(f"pull {name}", **environment)
    assert (pulled.status, pulled.stderr) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_socks_proxy(hub: StandIn, socks: SocksProxy, tmp_path: Path, name: str) -> None:
    endpoint = "http://hub.example"
    environment = {"HF_ENDPOINT": endpoint, "MODELSCOPE_ENDPOINT": endpoint, "ALL_PROXY": socks.url}
    (pulled,) = Machine(hub, tmp_path).run(f"pull {name}", **environment)
    assert (pulled.status, pulled.stderr) == (0, "")
    assert set(socks.asked) == {"hub.example", "localhost"}


def test_a_proxy_that_cannot_be_used(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks9://x")
    with pytest.raises(ModelFileError, match="proxy in ALL_PROXY"):
        http_client(1)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ModelFileError, match="pip install socksio"):
        http_client(1)
