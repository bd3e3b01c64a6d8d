"""Who may talk to the server: keys, host names, origins; and what it tells of what was said."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

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


KNOWN_HOSTS = [
    *("127.0.0.1", "localhost:1", "192.168.1.5:8000", "[::1]:8000", "assistant.example"),
    *("host.docker.internal", "host.docker.internal:8000", "host.containers.internal:8000"),
]


@pytest.mark.parametrize("host", KNOWN_HOSTS)
def test_known_host(keyed: RunningServer, host: str) -> None:
    assert httpx.get(f"{keyed.url}/health", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "docker.internal", ""]
)
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
    if not allowed:
        assert response.json()["error"]["code"] == "origin_not_allowed"
        assert "--allowed-origin" in response.json()["error"]["message"]


@pytest.mark.parametrize("allowed", [True, False])
def test_private_network_access(keyed: RunningServer, allowed: bool) -> None:
    """A public page that an operator allowed may reach this machine: the browser asks for it in the preflight."""
    preflight = {
        "Origin": "https://chat.example" if allowed else "https://evil.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Private-Network": "true",
    }
    response = httpx.options(f"{keyed.url}/v1/chat/completions", headers=preflight)
    assert response.status_code == (200 if allowed else 403)
    assert (response.headers.get("access-control-allow-private-network") == "true") is allowed
    del preflight["Access-Control-Request-Private-Network"]
    response = httpx.options(f"{keyed.url}/v1/chat/completions", headers=preflight)
    assert "access-control-allow-private-network" not in response.headers


@pytest.mark.parametrize(("origin", "allowed"), [("https://chat.example", True), ("https://evil.example", False)])
def test_cors_of_answers_and_errors(keyed: RunningServer, origin: str, allowed: bool) -> None:
    for key, status in ((KEY, 200), ("wrong", 401)):
        headers = {"Origin": origin, "Authorization": f"Bearer {key}"}
        response = httpx.get(f"{keyed.url}/v1/models", headers=headers)
        assert response.status_code == status
        assert (response.headers.get("access-control-allow-origin") == origin) is allowed
        assert "Origin" in response.headers["vary"]


def test_no_key_no_other_machines() -> None:
    command = [sys.executable, "-m", "chatglm_server", "--host", "0.0.0.0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "--api-key" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_every_origin_can_be_allowed() -> None:
    with RunningServer("--allowed-origin", "*") as server:
        preflight = {"Origin": "https://any.example", "Access-Control-Request-Method": "POST"}
        response = httpx.options(f"{server.url}/v1/chat/completions", headers=preflight)
        assert response.headers["access-control-allow-origin"] == "https://any.example"


def test_log_line_of_a_refused_request() -> None:
    """The reason and the field, as the client's developer needs them; of its text nothing."""
    with RunningServer("--api-key", KEY) as server:
        ours = {"Authorization": f"Bearer {KEY}"}

        def line(method: str, path: str, **request: Any) -> str:
            known = len(server.lines)
            request["headers"] = ours | request.get("headers", {})
            httpx.request(method, server.url + path, **request)
            deadline = time.monotonic() + 10
            while len(server.lines) == known and time.monotonic() < deadline:
                time.sleep(0.01)
            return "\n".join(server.lines[known:])

        chat = "/v1/chat/completions"
        refused = line("POST", chat, json={"messages": user("xylophone"), "temperature": "xylophone"})
        assert refused.endswith("error=invalid_value field=temperature")
        nested = {"role": "user", "content": [{"type": "xylophone"}]}
        assert "field=messages[1].content[0]" in line("POST", chat, json={"messages": [*user("a"), nested]})
        assert "error=model_not_found field=model" in line("POST", chat, json={"messages": user("a"), "model": "x"})
        assert line("GET", "/nope").endswith("s error=not_found")
        assert "error=method_not_allowed" in line("DELETE", "/v1/models")
        assert "error=unsupported_media_type" in line("POST", chat, content="xylophone")
        assert "error=invalid_api_key" in line("GET", "/v1/models", headers={"Authorization": "Bearer x"})
        assert "error=host_not_allowed field=Host" in line("GET", "/health", headers={"Host": "evil.example"})
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        blocked = line("OPTIONS", chat, headers=preflight)
        assert 'blocked_origin="https://evil.example; see --allowed-origin" error=origin_not_allowed' in blocked
        forged = line("GET", "/v1/models", headers={"Origin": 'https://a"xylophone zither'})
        assert 'blocked_origin="(malformed); see --allowed-origin"' in forged
        own_page = {"Host": "192.0.2.7:8000", "Origin": "http://192.0.2.7:8000"}
        assert "blocked" not in line("GET", "/v1/models", headers=own_page)
        odd = {"messages": user("a"), "chat_template_kwargs": {"zither\nPOST /forged 200": 1}}
        assert "forged" not in line("POST", chat, json=odd)
        assert "xylophone" not in server.output
        assert "zither" not in server.output


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
