"""In front of a server that means harm: it costs an error, and nothing else."""

from __future__ import annotations

import gzip
import json
from typing import Any, NoReturn

import httpx
import pytest

from chatglm_server.engine.upstream.calls import MAX_CALLS
from tests.raw_backend import MODELS, RawBackend, delta, stream, text, whole
from tests.serving import RunningServer
from tests.upstream import HELLO, answer, chunks

ANSWER = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
ODD: dict[str, Any] = {
    "prompt_tokens": -5,
    "completion_tokens": 10**400,
    "prompt_tokens_details": {"cached_tokens": True, "\ud800": "\udfff"},
    "completion_tokens_details": {"reasoning_tokens": -1},
    "cost": "HUGE",
}
ODD_USAGE = json.dumps(ODD).replace('"HUGE"', "1e999").encode()


def no_number(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")


@pytest.mark.parametrize("kind", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip", "zstd"])
def test_nothing_is_decompressed(front: RunningServer, backend: RawBackend, kind: str, coding: str) -> None:
    """Codings can be stacked: a kilobyte could become a terabyte."""
    body = gzip.compress(gzip.compress(json.dumps(ANSWER).encode()))
    backend.play(whole(body, "200 OK", f"Content-Type: {kind}", f"Content-Encoding: {coding}"))
    refused = front.post(json=HELLO)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_failure")
    assert "compressed" in refused.json()["error"]["message"]
    backend.play(whole(body, "503 Service Unavailable", f"Content-Encoding: {coding}"))
    refused = front.post(json=HELLO)
    assert (refused.status_code, refused.json()["error"]["message"]) == (503, "the backend answered 503")


def test_no_cookie_is_kept(front: RunningServer, backend: RawBackend) -> None:
    backend.play(whole(ANSWER, "200 OK", "Set-Cookie: session=of-one-client; Path=/"))
    for _ in range(2):
        answer(front, HELLO)
    assert len(backend.requests) == 2
    assert not any("cookie" in received.headers for received in backend.requests)


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
def test_a_redirection_leads_nowhere(front: RunningServer, backend: RawBackend, status: str) -> None:
    with RawBackend() as elsewhere:
        redirection = whole(b"", status, f"Location: {elsewhere.address}/chat/completions")
        backend.play(redirection)
        backend.models = redirection
        try:
            for response in (front.post(json=HELLO), httpx.get(f"{front.url}/v1/models", timeout=60)):
                assert (response.status_code, response.json()["error"]["code"]) == (502, "upstream_failure")
        finally:
            backend.models = whole(MODELS)
        assert (elsewhere.requests, elsewhere.lists) == ([], 0)


HEADS: dict[str, bytes] = {
    "a broken location": b"HTTP/1.1 302 Found\r\nLocation: http://[::1:x/\r\nContent-Length: 0\r\n\r\n",
    "a location that is no text": b"HTTP/1.1 302 Found\r\nLocation: //\xff\xfe:99999999\r\nContent-Length: 0\r\n\r\n",
    "an unknown status": b"HTTP/1.1 999 Oops\r\nContent-Length: 2\r\n\r\n{}",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "a head without end": b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20),
    "lines without end": b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 100_000,
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a chunk without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * (1 << 20),
    "a trailer without end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * (1 << 20),
}


@pytest.mark.parametrize("kind", HEADS)
def test_broken_http_is_a_failure(front: RunningServer, backend: RawBackend, kind: str) -> None:
    backend.play([HEADS[kind]])
    refused = front.post(json=HELLO)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_failure")
    assert "Traceback" not in front.output


def test_counts_that_are_none_count_as_nothing(front: RunningServer, backend: RawBackend) -> None:
    """Clients get JSON, and the figures go on."""
    last = b'data: {"choices": [], "usage": ' + ODD_USAGE + b"}\n\n"
    backend.play(stream(*text("Hi"), delta(reason="stop"), last))
    body = HELLO | {"stream_options": {"include_usage": True}}
    streamed = front.stream(body).decode().splitlines()
    events = [json.loads(line[6:], parse_constant=no_number) for line in streamed if line.startswith("data: {")]
    told = json.loads(front.post(json=HELLO).text, parse_constant=no_number)
    for usage in (events[-1]["usage"], told["usage"]):
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (0, 0, 0)
    assert httpx.get(f"{front.url}/metrics").status_code == 200
    assert "Traceback" not in front.output


def test_models_of_an_odd_list(front: RunningServer, backend: RawBackend) -> None:
    listed = [
        {"id": "a\ud800", "created": 10**15, "max_model_len": -1},
        {"id": "b", "created": -1, "max_model_len": 1e9},
    ]
    backend.models = whole({"data": listed})
    try:
        for path, headers in {"/v1/models": {}, "/v1/models/b": {"anthropic-version": "1"}, "/api/tags": {}}.items():
            response = httpx.get(front.url + path, headers=headers, timeout=60)
            assert response.status_code == 200, (path, response.text)
    finally:
        backend.models = whole(MODELS)


def test_text_that_is_not_unicode(front: RunningServer, backend: RawBackend) -> None:
    error = {"message": "no \ud800", "type": "\udc00", "param": "\ud801", "code": "\ud802" + "x" * 10_000}
    backend.play(whole({"error": error}, "400 Bad Request"))
    refused = front.post(json=HELLO)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "no \ufffd")
    assert len(refused.json()["error"]["code"]) <= 2000
    backend.play(stream(*text("Hi"), {"error": error}))
    assert chunks(front, HELLO)[-1]["error"]["param"] == "\ufffd"


DEEP: Any = "x"
for _ in range(200):
    DEEP = [DEEP]
ONE_CALL = {"function": {"name": "f", "arguments": ""}}
EVENTS: dict[str, dict[str, Any]] = {
    "nested too deeply": {"choices": [], "usage": {"deep": DEEP}},
    "too many calls": delta({"tool_calls": [{"index": index, **ONE_CALL} for index in range(MAX_CALLS + 1)]}),
    "too many calls without an index": delta({"tool_calls": [{"id": "x", **ONE_CALL}] * (MAX_CALLS + 1)}),
}


@pytest.mark.parametrize("kind", EVENTS)
def test_what_would_take_too_much_is_a_failure(front: RunningServer, backend: RawBackend, kind: str) -> None:
    backend.play(stream(*text("Hi"), EVENTS[kind], delta(reason="stop")))
    assert chunks(front, HELLO)[-1]["error"]["code"] == "upstream_failure"
    refused = front.post(json=HELLO)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_failure")


def test_no_line_of_the_log_can_be_forged() -> None:
    name, fault = "a\n12:00:00 forged\x1b[2J", "no\r\n12:00:00 forged\x1b[2J"
    with RawBackend(models=whole({"data": [{"id": name}]})) as one, RawBackend() as other:
        for backend in (one, other):
            backend.play(whole({"error": {"message": fault}}, "503 Service Unavailable"))
        refusing = RawBackend(models=whole({"error": {"message": fault}}, "500 Internal Server Error"))
        with refusing, RunningServer("--model", f"{one.address},{other.address},{refusing.address}") as front:
            front.wait_for_line("have different models", timeout=60)
            front.wait_for_line("requests will be tried all the same", timeout=60)
            front.post(json=HELLO)
            front.wait_for_line("it is left out until it answers again", timeout=60)
            lines = front.lines
    assert sum("forged" in line for line in lines) >= 3
    assert not any("12:00:00 forged" in line and not line.partition("12:00:00 forged")[0].strip() for line in lines)
    assert not any("\x1b" in line for line in lines)
