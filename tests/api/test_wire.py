"""The conformance rules, checked on the bytes of recorded streams."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.conftest import ADD, WEATHER
from tests.serving import RunningServer, user

Chunk = dict[str, Any]
PLAIN = {"messages": user("Who are you?"), "temperature": 0}
CALL = {"messages": user("What is the weather in Paris?"), "tools": [WEATHER, ADD], "temperature": 0}
CUT = {**PLAIN, "max_tokens": 3}
FORCED = {**CALL, "tool_choice": {"type": "function", "function": {"name": "get_weather"}}}
BODIES = {"plain": PLAIN, "call": CALL, "cut": CUT, "forced": FORCED}


def chunks_of(raw: bytes) -> list[Chunk]:
    """The JSON chunks of a stream whose framing is right."""
    events = raw.decode().split("\n\n")
    assert events[-1] == ""
    lines = [event for event in events[:-1] if not event.startswith(":")]
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)
    assert [line for line in lines if line == "data: [DONE]"] == lines[-1:]
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@pytest.fixture(scope="module", params=BODIES, ids=list(BODIES))
def stream(request: pytest.FixtureRequest, server: RunningServer) -> tuple[dict[str, Any], list[Chunk]]:
    body = BODIES[request.param]
    return body, chunks_of(server.stream(body))


def test_every_chunk_has_the_common_fields(stream: tuple[dict[str, Any], list[Chunk]]) -> None:
    _, chunks = stream
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert all(isinstance(chunk["created"], int) for chunk in chunks)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert all(len(chunk["choices"]) == 1 for chunk in chunks)


def test_role_comes_once_and_first(stream: tuple[dict[str, Any], list[Chunk]]) -> None:
    """A stream that begins with a call has null content, so that it folds to what the whole answer has."""
    body, chunks = stream
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": None if "tools" in body else ""}
    assert not any("role" in delta for delta in deltas[1:])


def test_finish_chunk_is_last_and_alone(stream: tuple[dict[str, Any], list[Chunk]]) -> None:
    _, chunks = stream
    choices = [chunk["choices"][0] for chunk in chunks]
    assert all(choice["finish_reason"] is None for choice in choices[:-1])
    assert choices[-1]["delta"] == {}
    assert choices[-1]["finish_reason"] in {"stop", "length", "tool_calls"}


def test_call_deltas(stream: tuple[dict[str, Any], list[Chunk]]) -> None:
    _, chunks = stream
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    calls = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert all(len(call) == 1 for call in calls)
    seen: list[int] = []
    for (call,) in calls:
        if call["index"] in seen:
            assert set(call) == {"index", "function"}
            assert set(call["function"]) == {"arguments"}
        else:
            seen.append(call["index"])
            assert call["type"] == "function"
            assert call["id"].startswith("call_")
            assert len(call["id"]) == 29
            assert call["function"]["name"]
            assert isinstance(call["function"]["arguments"], str)
    assert seen == list(range(len(seen)))
    first = next((place for place, delta in enumerate(deltas) if "tool_calls" in delta), len(deltas))
    assert not any(delta.get("content") == "" for delta in deltas[first:])


def test_stream_joins_to_the_whole_answer(server: RunningServer, stream: tuple[dict[str, Any], list[Chunk]]) -> None:
    body, chunks = stream
    whole = server.post(json=body).json()["choices"][0]
    content = ""
    calls: dict[int, tuple[str, str]] = {}
    for chunk in chunks:
        delta = chunk["choices"][0]["delta"]
        content += delta.get("content") or ""
        for call in delta.get("tool_calls", ()):
            name, arguments = calls.get(call["index"], ("", ""))
            calls[call["index"]] = (
                name + call["function"].get("name", ""),
                arguments + call["function"]["arguments"],
            )
    assert content == (whole["message"]["content"] or "")
    expected = [
        (call["function"]["name"], call["function"]["arguments"]) for call in whole["message"].get("tool_calls", ())
    ]
    assert list(calls.values()) == expected
    assert all(isinstance(json.loads(arguments), dict) for _, arguments in expected)
    assert chunks[-1]["choices"][0]["finish_reason"] == whole["finish_reason"]
    assert all("index" not in call for call in whole["message"].get("tool_calls", ()))


def test_reasons(server: RunningServer) -> None:
    reasons = {name: server.post(json=body).json()["choices"][0]["finish_reason"] for name, body in BODIES.items()}
    assert reasons == {"plain": "stop", "call": "tool_calls", "cut": "length", "forced": "tool_calls"}


def test_headers(server: RunningServer) -> None:
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json={**PLAIN, "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"
        response.read()


def test_usage_chunk_only_when_asked_for(server: RunningServer, stream: tuple[dict[str, Any], list[Chunk]]) -> None:
    body, chunks = stream
    assert not any("usage" in chunk for chunk in chunks)
    asked = chunks_of(server.stream(body | {"stream_options": {"include_usage": True}}))
    assert asked[-1]["choices"] == []
    assert asked[-2]["choices"][0]["finish_reason"] is not None
    usage = asked[-1]["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert not any("usage" in chunk for chunk in asked[:-1])


def test_cached_prefix_is_counted(server: RunningServer) -> None:
    first = server.post(json=CALL).json()["usage"]
    again = server.post(json=CALL).json()["usage"]
    assert again["prompt_tokens"] == first["prompt_tokens"]
    assert again["prompt_tokens_details"]["cached_tokens"] == first["prompt_tokens"] - 1


def test_stop_string_is_never_sent(server: RunningServer) -> None:
    text = server.post(json=PLAIN).json()["choices"][0]["message"]["content"]
    stop = text[4:9]
    body = {**PLAIN, "stop": [stop]}
    whole = server.post(json=body).json()["choices"][0]
    assert whole["message"]["content"] == text[: text.index(stop)]
    assert whole["finish_reason"] == "stop"
    joined = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks_of(server.stream(body)))
    assert joined == whole["message"]["content"]


def test_one_call_where_parallel_calls_are_off(server: RunningServer) -> None:
    answer = server.post(json={**CALL, "parallel_tool_calls": False}).json()["choices"][0]
    assert len(answer["message"]["tool_calls"]) == 1
    assert answer["finish_reason"] == "tool_calls"


def test_bare_completion_stream(server: RunningServer) -> None:
    body = {"prompt": ["Hello", "1 2 3"], "max_tokens": 4, "temperature": 0}
    chunks = chunks_of(server.stream(body | {"stream_options": {"include_usage": True}}, "/v1/completions"))
    whole = server.post("/v1/completions", json=body).json()
    assert {chunk["object"] for chunk in chunks} == {"text_completion"}
    for choice in whole["choices"]:
        mine = [c["choices"][0] for c in chunks[:-1] if c["choices"][0]["index"] == choice["index"]]
        assert "".join(part["text"] for part in mine) == choice["text"]
        assert [part["finish_reason"] for part in mine] == [None] * (len(mine) - 1) + [choice["finish_reason"]]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


def test_tokens_of_a_forced_opening_count(server: RunningServer) -> None:
    answer = server.post(json=FORCED | {"max_tokens": 3}).json()
    assert answer["choices"][0]["finish_reason"] == "length"
    assert not answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] == 3


def test_silent_stream_is_kept_alive() -> None:
    with RunningServer("--keep-alive-s", "0.01") as server:
        raw = server.stream({**CALL, "messages": user("What is the weather in Paris? " * 40)})
    comment = b": keep-alive\n\n"
    assert comment in raw
    assert raw.replace(comment, b"").endswith(b"data: [DONE]\n\n")  # one more may follow before the response ends
