"""What holds of HTTP holds for the routes of every dialect, and each says a fault in its own words."""

from __future__ import annotations

import gzip
import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from chatglm_server.api.anthropic.bodies import MessagesBody
from chatglm_server.api.ollama.bodies import ChatBody, GenerateBody
from chatglm_server.api.responses.bodies import ResponsesBody
from tests.serving import RunningServer, user

MESSAGES: dict[str, Any] = {"messages": user("Hello! 你好"), "max_tokens": 2, "temperature": 0}
ITEMS: dict[str, Any] = {"input": "Hello! 你好", "max_output_tokens": 2, "temperature": 0}
OPTIONS: dict[str, Any] = {"num_predict": 2, "temperature": 0}
ROUTES: dict[str, dict[str, Any]] = {
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": {"messages": user("Hello! 你好")},
    "/v1/responses": ITEMS,
    "/api/chat": {"messages": user("Hello! 你好"), "options": OPTIONS, "stream": False},
    "/api/generate": {"prompt": "Hello! 你好", "options": OPTIONS, "stream": False},
    "/api/show": {"model": "demo"},
}
"""Path → the body of a short answer."""

BODIES: dict[str, type[BaseModel]] = {
    "/v1/messages": MessagesBody,
    "/v1/responses": ResponsesBody,
    "/api/chat": ChatBody,
    "/api/generate": GenerateBody,
}
"""The routes that answer, with their bodies."""

JSON_TYPE = {"Content-Type": "application/json"}
CHANGING = {"id", "request_id", "created_at", "completed_at", "usage"}


def answered(response: httpx.Response) -> dict[str, Any]:
    """The answer without what differs between two of them."""
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    for item in body.get("output", ()):
        del item["id"]
    return {name: value for name, value in body.items() if name not in CHANGING and "duration" not in name}


def complaint(response: httpx.Response, path: str) -> str:
    """The message of an error, whose shape is that of the dialect."""
    body = response.json()
    if path.startswith("/api/"):
        (message,) = body.values()
    elif path.startswith("/v1/messages"):
        assert body["type"] == "error"
        assert body["request_id"] == response.headers["request-id"]
        message = body["error"]["message"]
    else:
        assert body["error"].keys() == {"message", "type", "param", "code"}
        message = body["error"]["message"]
    assert isinstance(message, str)
    return message


@pytest.mark.parametrize("path", ROUTES)
def test_bodies_and_paths_as_people_and_programs_write_them(server: RunningServer, path: str) -> None:
    body = json.dumps(ROUTES[path]).encode()
    with httpx.Client(headers=JSON_TYPE, timeout=60) as client:

        def ask(typed: str, content: bytes, **headers: str) -> dict[str, Any]:
            return answered(client.post(server.url + typed, content=content, headers=headers))

        plain = ask(path, body)
        assert ask(path, b"\xef\xbb\xbf" + body) == plain
        assert ask(path, gzip.compress(body), **{"Content-Encoding": "gzip"}) == plain
        for typed in (f"/{path}/", f"{path}?beta=true&client_version=1", f"/v1{path}" if "v1" in path else f"/{path}"):
            assert ask(typed, body, Host="host.docker.internal") == plain


@pytest.mark.parametrize("path", ROUTES)
def test_faults_in_the_words_of_the_dialect(server: RunningServer, path: str) -> None:
    for content, headers, status, words in (
        (b"{}", JSON_TYPE | {"Content-Encoding": "br"}, 415, "gzip"),
        (b"x", JSON_TYPE | {"Content-Encoding": "gzip"}, 400, "gzip"),
        (b"{}", JSON_TYPE | {"Host": "evil.example"}, 403, "--allowed-host"),
        (b"{}", {"Content-Type": "text/plain", "Origin": server.url}, 415, "application/json"),
        (b"{", JSON_TYPE, 400, "not valid JSON"),
        (b'{"a": "\\ud800"}', JSON_TYPE, 400, "surrogate"),
        (b'{"a": 1e999}', JSON_TYPE, 400, "out of range"),
        (b"[" * 100_000, JSON_TYPE, 400, "JSON"),
    ):
        response = httpx.post(server.url + path, content=content, headers=headers, timeout=60)
        assert response.status_code == status
        assert words in complaint(response, path)


@pytest.mark.parametrize("path", ROUTES)
def test_get_head_and_websockets_of_routes_for_post(server: RunningServer, path: str) -> None:
    """Codex tries a WebSocket at some servers. The answer is one of HTTP, and the connection goes on."""
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.head(path).status_code == 405
        for headers in ({}, upgrade | {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}):
            refused = client.get(path, headers=headers)
            assert refused.status_code == 405
            assert "is not allowed" in complaint(refused, path)
    assert "WebSocket" not in server.output


def test_a_base_url_without_v1(server: RunningServer) -> None:
    assert server.post("/responses", json=ITEMS).json()["object"] == "response"


def test_telemetry_is_accepted_unread(server: RunningServer) -> None:
    for path in ("/api/event_logging/batch", "/api/event_logging/v2/batch"):
        answer = httpx.post(server.url + path, content=b'{"events": [', headers=JSON_TYPE, timeout=60)
        assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize("path", BODIES)
def test_greedy_by_top_p_without_a_limit(server: RunningServer, path: str) -> None:
    """``top_p: 0`` and a limit of -1, as in chat completions."""

    def change(body: dict[str, Any], **options: Any) -> dict[str, Any]:
        said = body | {"options": {**body["options"], **options}} if "options" in body else body | options
        return answered(server.post(path, json=said))

    limit = {"/v1/messages": "max_tokens", "/v1/responses": "max_output_tokens"}.get(path, "num_predict")
    unlimited = ROUTES[path]
    greedy = change(unlimited, **{limit: None})
    ours = change(unlimited, temperature=2, top_p=0, **{limit: -1})
    for echoed in ("temperature", "top_p", "max_output_tokens"):
        ours.pop(echoed, None)
        greedy.pop(echoed, None)
    assert ours == greedy
    assert "Hello" in json.dumps(ours) or "你好" in json.dumps(ours, ensure_ascii=False)


HINTS: dict[str, Any] = {
    "store": True,
    "verbosity": "low",
    "service_tier": "flex",
    "user": "secret-of-the-user",
    "metadata": {"a": "b"},
    "prediction": {"type": "content", "content": "Hello"},
    "web_search_options": {},
    "reasoning_effort": "high",
    "reasoning": {"effort": "high"},
    "a_field_of_tomorrow": {"x": 1},
}


@pytest.mark.parametrize("path", BODIES)
def test_null_is_as_if_left_out(server: RunningServer, path: str) -> None:
    nulls = dict.fromkeys(BODIES[path].model_fields) | {"a_field_of_tomorrow": None}
    plain, empty = (answered(server.post(path, json=fields | ROUTES[path])) for fields in ({}, nulls))
    assert empty == plain


@pytest.mark.parametrize("path", BODIES)
def test_hints_change_nothing(server: RunningServer, path: str) -> None:
    """Also an effort for a model that does not think. Unknown fields are named in the log, without values."""
    hints = dict(HINTS)
    if path.startswith("/api/"):
        hints |= {"think": "high", "keep_alive": -1, "truncate": True, "shift": False, "template": "x", "context": [1]}
    if path == "/v1/messages":
        hints |= {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
    plain, hinted = (answered(server.post(path, json=ROUTES[path] | more)) for more in ({}, hints))
    if path == "/v1/responses":  # it repeats what the client said
        assert hinted["store"] is False
        plain, hinted = plain["output"], hinted["output"]
    assert hinted == plain
    server.wait_for_line("ignoring the unknown request field 'a_field_of_tomorrow'", timeout=10)
    assert server.output.count("field 'a_field_of_tomorrow'") == 1
    assert "secret-of-the-user" not in server.output
