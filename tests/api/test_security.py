"""Who may talk to the server: keys, host names, origins; and what it tells of what was said."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tests.serving import RunningServer, user

KEY = "correct horse battery staple"


@pytest.fixture(scope="module")
def keyed() -> Iterator[RunningServer]:
    options = ("--host", "0.0.0.0", "--allowed-host", "assistant.example", "--allowed-origin", "https://chat.example")
    with RunningServer(*options, env={"CHATGLM_API_KEY": KEY}) as server:
        server.url = server.url.replace("0.0.0.0", "127.0.0.1")
        yield server


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", KEY, f"Basic {KEY}", "Bearer", f"Bearer {KEY}x"])
def test_wrong_key(keyed: RunningServer, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    response = httpx.get(f"{keyed.url}/v1/models", headers=headers)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "invalid_api_key"


def test_right_key(keyed: RunningServer) -> None:
    assert httpx.get(f"{keyed.url}/v1/models", headers={"Authorization": f"Bearer {KEY}"}).status_code == 200


def test_health_is_open(keyed: RunningServer) -> None:
    assert keyed.health()["status"] == "ok"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "192.168.1.5:8000", "[::1]:8000", "assistant.example"])
def test_known_host(keyed: RunningServer, host: str) -> None:
    assert httpx.get(f"{keyed.url}/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", ""])
def test_foreign_host(keyed: RunningServer, host: str) -> None:
    response = httpx.get(f"{keyed.url}/health", headers={"Host": host})
    assert response.status_code in {400, 403}
    if host == "evil.example":
        assert response.json()["error"]["code"] == "host_not_allowed"


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("http://127.0.0.1", True),
        ("https://chat.example", True),
        ("https://evil.example", False),
        ("http://localhost.evil.example", False),
        ("null", False),
    ],
)
def test_cors(keyed: RunningServer, origin: str, allowed: bool) -> None:
    preflight = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    response = httpx.options(f"{keyed.url}/v1/chat/completions", headers=preflight)
    assert (response.headers.get("access-control-allow-origin") == origin) is allowed
    assert (response.status_code == 200) is allowed


def test_no_key_no_other_machines() -> None:
    command = [sys.executable, "-m", "chatglm_server", "--host", "0.0.0.0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "--api-key" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_nothing_said_is_logged() -> None:
    with RunningServer() as server:
        secret = "xylophone"
        server.post(json={"messages": user(f"Remember {secret}"), "temperature": 0, "max_tokens": 8})
        server.post(json={"messages": user(secret), "temperature": secret})
        server.stream({"messages": user(f"Remember {secret}"), "max_tokens": 8})
        line = server.wait_for_line("stream=yes")
        assert secret not in server.output
    for word in ("POST", "/v1/chat/completions", "200", "model=demo", "messages=1", "tools=0", "prompt=", "tok/s"):
        assert word in line, line
