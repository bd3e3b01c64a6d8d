"""Ollama's API as bytes: its lines, errors and ends, and what its client does not show."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import ollama
import pytest
from ollama import Client

from tests.conftest import WEATHER
from tests.recordings import replay_file
from tests.serving import RunningServer, user

SLOW = {"raw": "and so on " * 500, "chunk_size": 4, "delay_ms": 20}


def test_the_root(server: RunningServer) -> None:
    """Ollama's clients, and Claude Code, look if somebody is there; a browser gets the page."""
    for accept in ("*/*", "application/json", ""):
        found = httpx.get(server.url, headers={"Accept": accept})
        assert (found.status_code, found.text) == (200, "Ollama is running")
        assert httpx.head(server.url, headers={"Accept": accept}).status_code == 200
    page = httpx.get(server.url, headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "chatglm-server" in page.text


@pytest.mark.parametrize("path", ["/api/tags", "/api/version", "/api/ps"])
def test_head_is_get_without_the_body(server: RunningServer, path: str) -> None:
    head = httpx.head(server.url + path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == "application/json"


def test_streams_are_the_default(server: RunningServer) -> None:
    """Bodies as `curl -d` and JavaScript send them; slashes and a byte order mark as everywhere."""
    body = {"model": "demo", "messages": user("Hello!"), "options": {"temperature": 0}, "a_new_field": 1}
    for path, kind, content in (
        ("/api/chat", "application/x-www-form-urlencoded", json.dumps(body).encode()),
        ("//api/chat/", "application/json", b"\xef\xbb\xbf" + json.dumps(body | {"stream": None}).encode()),
    ):
        answer = httpx.post(server.url + path, content=content, headers={"Content-Type": kind})
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.content.endswith(b"}\n")
        lines = [json.loads(line) for line in answer.content.splitlines()]
        assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
        assert all(set(line) == {"model", "created_at", "message", "done"} for line in lines[:-1])
        assert all(line["message"]["role"] == "assistant" for line in lines)
    whole = server.post("/api/chat", json=body | {"stream": False})
    assert whole.headers["content-type"] == "application/json"
    assert whole.json()["message"] == {
        "role": "assistant",
        "content": "".join(line["message"]["content"] for line in lines),
    }


ASK: dict[str, Any] = {"model": "demo", "messages": user("Hello!"), "stream": False}
PROMPT: dict[str, Any] = {"model": "demo", "prompt": "Hello!", "stream": False}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("chat", ASK | {"options": {"temperature": 9}}, "options.temperature"),
        ("chat", ASK | {"options": {"temperature": "warm"}}, "options.temperature"),
        ("chat", ASK | {"options": {"num_predict": 0}}, "options.num_predict"),
        ("chat", ASK | {"options": {"repeat_penalty": 99}}, "options.repeat_penalty"),
        ("chat", ASK | {"options": 5}, "options"),
        ("chat", ASK | {"format": "xml"}, "format"),
        ("chat", ASK | {"format": {"type": "nothing"}}, "format"),
        ("chat", ASK | {"think": "very"}, "think"),
        ("chat", ASK | {"top_logprobs": 2}, "top_logprobs"),
        ("chat", ASK | {"tools": [{"type": "function", "function": {}}]}, "tools[0].function"),
        ("chat", ASK | {"messages": user("x") * 2049}, "messages"),
        ("chat", ASK | {"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ("chat", ASK | {"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (
            "chat",
            ASK | {"messages": [{"role": "user", "content": "x", "images": ["iVBORw0KGgo="]}]},
            "messages[0].images",
        ),
        (
            "chat",
            ASK | {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": "x"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ("chat", ASK | {"messages": user("Hello! " * 9000)}, "the prompt has"),
        ("generate", PROMPT | {"suffix": "x"}, "suffix"),
        ("generate", PROMPT | {"images": ["iVBORw0KGgo="]}, "images"),
        ("generate", PROMPT | {"prompt": ["x"]}, "prompt"),
        ("embed", {"model": "demo", "input": 5}, "input"),
    ],
)
def test_a_bad_request_names_the_field(server: RunningServer, path: str, body: dict[str, Any], field: str) -> None:
    for streamed in (False, True):  # before the headers, so that there is a status
        answer = server.post(f"/api/{path}", json=body | {"stream": streamed})
        assert answer.status_code == 400
        assert set(answer.json()) == {"error"}
        assert answer.json()["error"].startswith(field), answer.json()


def test_an_answer_goes_on_from_the_assistants_last_message(server: RunningServer) -> None:
    body = ASK | {"options": {"temperature": 0}}
    text = server.post("/api/chat", json=body).json()["message"]["content"]
    first, blank, rest = text.partition(" ")
    begun = {"messages": [*user("Hello!"), {"role": "assistant", "content": first}]}
    assert server.post("/api/chat", json=body | begun).json()["message"]["content"] == blank + rest


def test_other_errors(server: RunningServer) -> None:
    for response, status in (
        (server.post("/api/chat", json=ASK | {"model": "llama3"}), 404),
        (server.post("/api/web_search", json={}), 404),
        (httpx.get(f"{server.url}/api/chat"), 405),
        (httpx.post(f"{server.url}/api/chat", content=b"{}", headers={"Origin": "https://a.page"}), 415),
        (httpx.post(f"{server.url}/api/chat", content=b"{"), 400),
    ):
        assert response.status_code == status
        assert isinstance(response.json()["error"], str)


def test_a_client_that_leaves_frees_the_model(tmp_path: Path) -> None:
    """In the stream, and while it waits for the whole answer; others are refused meanwhile if the queue is full."""
    path = replay_file(tmp_path, "glm4", SLOW, SLOW, SLOW)
    with RunningServer("--model", f"replay:{path}", "--max-queue", "1") as server:
        body = {"model": "glm4", "messages": user("Hello!"), "tools": [WEATHER]}
        with httpx.stream("POST", f"{server.url}/api/chat", json=body) as response:
            lines = response.iter_lines()
            assert json.loads(next(lines))["message"]["content"]
            with httpx.stream("POST", f"{server.url}/api/chat", json=body):
                server.wait_for_queue(running=1, waiting=1)
                refused = server.post("/api/chat", json=body)
                assert (refused.status_code, set(refused.json())) == (429, {"error"})
                assert int(refused.headers["retry-after"]) > 0
        server.wait_for_queue(running=0, waiting=0)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/api/chat", json=body | {"stream": False}, timeout=0.5)
        server.wait_for_queue(running=0, waiting=0)


def test_a_stream_with_nothing_to_say_has_lines_without_text(tmp_path: Path) -> None:
    """Ollama's client takes them as empty pieces, and nothing follows the end."""
    hello = {"raw": "Hello!<|user|>", "chunk_size": 3, "delay_ms": 100}
    path = replay_file(tmp_path, "glm4", hello, hello)
    with RunningServer("--model", f"replay:{path}", "--keep-alive-s", "0.02") as server:
        client = Client(host=server.url)
        chat = list(client.chat("glm4", user("Hello!"), stream=True))
        prompt = list(client.generate("glm4", "Hello!", stream=True))
    for texts in ([part.message.content for part in chat], [part.response for part in prompt]):
        assert texts.count("") > 3
        assert "".join(text or "" for text in texts) == "Hello!"
    for ends in ([part.done for part in chat], [part.done for part in prompt]):
        assert ends == [False] * (len(ends) - 1) + [True]


def test_an_error_in_the_stream_is_its_last_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends the key that its environment holds."""
    path = replay_file(tmp_path, "glm4", SLOW)
    with RunningServer("--model", f"replay:{path}", "--api-key", "a key") as server:
        with pytest.raises(ollama.ResponseError, match="the API key is missing") as raised:
            Client(host=server.url).list()
        assert raised.value.status_code == 401
        monkeypatch.setenv("OLLAMA_API_KEY", "a key")
        parts = Client(host=server.url).chat("glm4", user("Hello!"), stream=True)
        assert next(parts).message.content
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ollama.ResponseError, match="the server"):
            list(parts)
