"""In front of another server: every way in which that can fail."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.raw_backend import UNTIL_THE_CLIENT_LEAVES, RawBackend, delta, stream, text, whole
from tests.serving import RunningServer
from tests.upstream import HELLO, SECRET, answer, chunks

OPENAI_ERROR = {"message": "slow down", "type": "rate", "param": "model", "code": "rate_limit"}
HALVES = {"message": "no\ud800", "type": "t\ud800", "param": "p\ud800", "code": "c\ud800"}
REFUSALS = {
    "openai": (whole({"error": OPENAI_ERROR}, "429 Too Many Requests", "Retry-After: 17"), 429, "slow down"),
    "number as code": (whole({"error": {"message": "m", "code": 400}}, "400 Bad Request"), 400, "m"),
    "vllm": (whole({"object": "error", "message": "too long", "code": 40303}, "400 Bad Request"), 400, "too long"),
    "text as error": (whole({"error": "no model loaded"}, "404 Not Found"), 404, "no model loaded"),
    "fastapi": (whole({"detail": [{"loc": ["body"]}]}, "422 Unprocessable Entity"), 422, "loc"),
    "text": (whole(b"overloaded", "503 Service Unavailable", "Content-Type: text/plain"), 503, "overloaded"),
    "html": (whole(b"<html>nginx</html>", "502 Bad Gateway"), 502, "502"),
    "nothing": (whole(b"", "500 Internal Server Error"), 500, "500"),
    "redirection": (whole(b"", "307 Temporary Redirect", "Location: https://example.com/"), 502, "307"),
    "deep": (whole(b"[" * 50_000, "400 Bad Request"), 400, "[[["),
    "half a character": (whole({"error": HALVES}, "400 Bad Request"), 400, "no\ufffd"),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", REFUSALS)
def test_refusals_come_back(front: RunningServer, backend: RawBackend, kind: str, streamed: bool) -> None:
    script, status, message = REFUSALS[kind]
    backend.play(script)
    response = front.post(json=HELLO | {"stream": streamed})
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert message in error["message"]
    assert len(error["message"]) <= 2000
    if kind == "openai":
        assert error == OPENAI_ERROR
        assert response.headers["retry-after"] == "17"
    assert len(backend.requests) == 1


BROKEN = {
    "closed": (stream(*text("Hi"), done=False, end=False), "upstream_failure"),
    "ended without a reason": (stream(*text("Hi"), done=False), "upstream_failure"),
    "no JSON": (stream(*text("Hi"), b"data: {oops\n\n"), "upstream_failure"),
    "cut in an event": (stream(*text("Hi"), b'data: {"choices": [', done=False), "upstream_failure"),
    "no object": (stream(*text("Hi"), b"data: [1]\n\n"), "upstream_failure"),
    "deep": (stream(*text("Hi"), b"data: " + b"[" * 50_000 + b"\n\n"), "upstream_failure"),
    "not chunked as it says": ([*stream(*text("Hi"), done=False, end=False), b"oops\r\n"], "upstream_failure"),
    "no end of line": (stream(*text("Hi"), *[b"x" * (1 << 20)] * 17), "upstream_failure"),
    "silent": (stream(*text("Hi"), UNTIL_THE_CLIENT_LEAVES), "upstream_timeout"),
    "its own error": (stream(*text("Hi"), {"error": {"message": "out of memory", "code": "oom"}}), "oom"),
    "half a character": (stream(*text("Hi"), {"error": HALVES}), "c\ufffd"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_breaking_off(front: RunningServer, backend: RawBackend, kind: str) -> None:
    """After the answer began it is an error event for who streams, and a status for who does not."""
    script, code = BROKEN[kind]
    backend.play(script)
    parts = chunks(front, HELLO)
    assert "".join(part["choices"][0]["delta"].get("content") or "" for part in parts[:-1]) == "Hi"
    assert parts[-1]["error"]["code"] == code
    whole_answer = front.post(json=HELLO)
    assert whole_answer.status_code == (504 if kind == "silent" else 502)
    assert whole_answer.json()["error"]["code"] == code
    assert "Traceback" not in front.output
    assert front.queue()["running"] == 0


GARBAGE: dict[str, Any] = {
    "null": b"null",
    "text": b"hello",
    "choices": b'{"choices": "x"}',
    "choice": b'{"choices": [1, {"delta": 1}, {"delta": {"content": 1, "tool_calls": [1, {"function": 1}]}}]}',
    "custom tool": b'{"choices": [{"delta": {"tool_calls": [{"type": "custom", "custom": {"name": "x"}}]}}]}',
    "latin": b"\xff\xfe",
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_is_no_answer(front: RunningServer, backend: RawBackend, kind: str) -> None:
    backend.play(whole(GARBAGE[kind]))
    response = front.post(json=HELLO)
    assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_failure")


def test_whole_answer_that_breaks_off(front: RunningServer, backend: RawBackend) -> None:
    (response,) = whole({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]})
    assert isinstance(response, bytes)
    backend.play([response[:-3]])
    refused = front.post(json=HELLO)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_failure")


def test_half_a_character_is_replaced(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(b'data: {"choices": [{"delta": {"content": "a\\ud800"}, "finish_reason": "stop"}]}\n\n'))
    assert answer(front, HELLO)["message"]["content"] == "a\ufffd"


COUNTS = {"prompt_tokens": -5, "completion_tokens": 10**400, "prompt_tokens_details": {"cached_tokens": True}}


def test_counts_that_make_no_sense_are_left_out(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop", usage=COUNTS)))
    usage = front.post(json=HELLO).json()["usage"]
    assert [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")] == [0, 0, 0]
    front.wait_for_queue(running=0)
    assert httpx.get(f"{front.url}/metrics").status_code == 200
    assert "Traceback" not in front.output


def test_a_break_behind_the_end_breaks_nothing(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop"), end=False))
    assert answer(front, HELLO)["message"]["content"] == "Hi"
    assert chunks(front, HELLO)[-1]["choices"][0]["finish_reason"] == "stop"


def test_end_without_done(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop"), done=False))
    assert answer(front, HELLO)["message"]["content"] == "Hi"


def test_silence_before_the_answer(front: RunningServer, backend: RawBackend) -> None:
    backend.play([UNTIL_THE_CLIENT_LEAVES])
    response = front.post(json=HELLO | {"stream": True})
    assert (response.status_code, response.json()["error"]["code"]) == (504, "upstream_timeout")
    assert len(backend.requests) == 1
    assert backend.left.wait(10)


@pytest.mark.parametrize("script", [[UNTIL_THE_CLIENT_LEAVES], stream(*text("Hi"), UNTIL_THE_CLIENT_LEAVES)], ids=len)
@pytest.mark.parametrize("streamed", [False, True])
def test_client_that_leaves(text_front: RunningServer, backend: RawBackend, script: Any, streamed: bool) -> None:
    """This server waits for ten minutes; the backend hears of it at once. Also before it has begun to answer."""
    backend.play(script)
    with pytest.raises(httpx.ReadTimeout):
        timeout = httpx.Timeout(30, read=0.7)
        with httpx.stream(
            "POST", f"{text_front.url}/v1/chat/completions", json=HELLO | {"stream": streamed}, timeout=timeout
        ) as response:
            response.read()
    assert backend.left.wait(10)
    text_front.wait_for_queue(running=0)


def test_backend_that_comes_later() -> None:
    with RawBackend() as first:
        port = first.port
    with RunningServer("--model", f"http://127.0.0.1:{port}", env={"CHATGLM_UPSTREAM_API_KEY": SECRET}) as front:
        assert "cannot be reached" in front.output
        assert front.health()["upstream"] == f"http://127.0.0.1:{port}/v1"
        for response in (front.post(json=HELLO), httpx.get(f"{front.url}/v1/models", timeout=60)):
            assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_unreachable")
            assert f"http://127.0.0.1:{port}/v1" in response.json()["error"]["message"]
            assert SECRET not in response.text
        with RawBackend(port) as later:
            later.play(stream(*text("Hi"), UNTIL_THE_CLIENT_LEAVES, end=False))
            body = HELLO | {"stream": True}
            with httpx.stream("POST", f"{front.url}/v1/chat/completions", json=body, timeout=60) as response:
                lines = response.iter_lines()
                assert any('"content":"i"' in line for line in lines)
                front.process.terminate()
                last = [line for line in lines if line][-1]
            assert json.loads(last.removeprefix("data: "))["error"]["code"] == "server_shutting_down"
            assert front.process.wait(30) == 0
    assert "Traceback" not in front.output


def test_a_backends_code_cannot_forge_a_log_line(front: RunningServer, backend: RawBackend) -> None:
    backend.play(whole({"error": {"message": "no", "code": "oops\nforged line"}}, "400 Bad Request"))
    front.post(json=HELLO)
    assert "error=oops%0Aforged%20line" in front.wait_for_line("error=oops", timeout=10)
