"""What a server says of itself and of requests: on a terminal, in plain text, and as JSON."""

from __future__ import annotations

import json
import logging
import re
import socket
import time

import httpx
import pytest

from chatglm_server.decoding.backends import loading
from tests.serving import RunningServer, user
from tests.terminals import OnTerminal


def test_every_line_is_json_whatever_the_path_holds() -> None:
    """The start lines as well; what users write is in none of them."""
    with RunningServer("--log-format", "json") as server:
        server.post(json={"messages": user("a secret word"), "temperature": 0, "max_tokens": 8})
        host, port = server.url.removeprefix("http://").split(":")
        for path in (b'/%22%0A{"x":1}', b"/\\u001b[31m%1b%00", b"/%ff%e2%80%ae"):
            with socket.create_connection((host, int(port)), 10) as client:
                client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert b" 404 " in client.recv(4096)
        while sum('"request"' in line for line in server.lines) < 4:
            time.sleep(0.02)
        lines = [json.loads(line) for line in server.lines]
    assert all({"time", "level", "message"} <= line.keys() for line in lines)
    chat, *strange = (line["request"] for line in lines if "request" in line)
    assert (chat["method"], chat["path"], chat["status"], chat["cut_off"]) == (
        "POST",
        "/v1/chat/completions",
        200,
        False,
    )
    assert (chat["model"], chat["completion_tokens"]) == ("demo", 8)
    assert chat["first_token_s"] <= chat["seconds"]
    assert [request["error"] for request in strange] == ["not_found"] * 3
    assert "secret" not in server.output


def test_a_log_says_how_far_loading_is(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_NEWS_S", 0.0)
    caplog.set_level(logging.INFO)
    with loading.loading_progress(4 * 10**9) as loaded:
        loaded(10**9)
    assert "loading: 1.0 of 4.0 GB" in caplog.messages


def test_a_terminal_shows_speed_and_coloured_requests() -> None:
    with OnTerminal("--port", "0") as terminal:
        terminal.wait_for("\nready")
        text = terminal.text()
        url = re.findall(r"page +(http://\S+)/\n", text)[0]
        assert re.search(r"\n  memory .+ of weights, up to .+ for 4096 tokens; .+ GB are free\n", text)
        assert re.search(r"\n  speed  about \d+ tokens a second in answers, \d+ in prompts\n", text)
        assert "INFO" not in text
        assert httpx.get(f"{url}/v1/nothing").status_code == 404
        assert httpx.get(f"{url}/v1/models").status_code == 200
        terminal.wait_for(r"\d\d:\d\d:\d\d GET /v1/nothing 404 0.\d\ds error=not_found\n")
        terminal.wait_for(r"\d\d:\d\d:\d\d GET /v1/models 200 0.\d\ds\n")
        assert b"\x1b[33m404 " in terminal.raw
        assert b"\x1b[32m200 " in terminal.raw
        terminal.type("\x03")
        assert terminal.wait_for_end() == 0
