"""Several answers to one request (`n`): on the wire, in usage, and each by itself."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.api.test_wire import Chunk, chunks_of
from tests.conftest import ADD, WEATHER
from tests.serving import RunningServer, user

THREE: dict[str, Any] = {
    "messages": user("Tell me about the sea."),
    "temperature": 1.5,
    "top_k": 0,
    "seed": 5,
    "n": 3,
    "max_tokens": 40,
    "ignore_eos": True,
}
CALLS: dict[str, Any] = {
    "messages": user("What is the weather in Paris?"),
    "tools": [WEATHER, ADD],
    "tool_choice": "required",
    "temperature": 0,
    "n": 2,
}
BARE: dict[str, Any] = {
    "prompt": ["The sea", "qx zvw 7 kj", "你好"],
    "n": 2,
    "temperature": 1.5,
    "top_k": 0,
    "seed": 7,
    "max_tokens": 10,
}
BODIES = {"text": THREE, "calls": CALLS}


def contents(server: RunningServer, body: dict[str, Any]) -> list[str]:
    """The texts of all answers, in order."""
    return [choice["message"]["content"] for choice in server.post(json=body).json()["choices"]]


@pytest.fixture(scope="module", params=BODIES, ids=list(BODIES))
def stream(request: pytest.FixtureRequest, server: RunningServer) -> tuple[dict[str, Any], list[Chunk]]:
    body = BODIES[request.param]
    return body, chunks_of(server.stream(body | {"stream_options": {"include_usage": True}}))


def by_choice(chunks: list[Chunk]) -> dict[int, list[dict[str, Any]]]:
    """The choices of all chunks but the last, by their index."""
    parts: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for chunk in chunks[:-1]:
        (choice,) = chunk["choices"]
        parts[choice["index"]].append(choice)
    return dict(parts)


def test_common_fields_and_one_usage_chunk(stream: tuple[dict[str, Any], list[Chunk]]) -> None:
    _, chunks = stream
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1
    assert chunks[-1]["choices"] == []
    assert not any("usage" in chunk for chunk in chunks[:-1])


def test_every_answer_has_one_role_and_one_finish(stream: tuple[dict[str, Any], list[Chunk]]) -> None:
    body, chunks = stream
    parts = by_choice(chunks)
    assert sorted(parts) == list(range(body["n"]))
    for choices in parts.values():
        assert choices[0]["delta"] == {"role": "assistant", "content": None if "tools" in body else ""}
        assert not any("role" in choice["delta"] for choice in choices[1:])
        assert [choice["finish_reason"] for choice in choices[:-1]] == [None] * (len(choices) - 1)
        assert choices[-1]["delta"] == {}
        assert choices[-1]["finish_reason"] in {"length", "tool_calls"}


def test_each_stream_joins_to_the_whole_answer(
    server: RunningServer, stream: tuple[dict[str, Any], list[Chunk]]
) -> None:
    body, chunks = stream
    whole = server.post(json=body).json()
    for choice in whole["choices"]:
        parts = by_choice(chunks)[choice["index"]]
        message = choice["message"]
        assert "".join(part["delta"].get("content") or "" for part in parts) == (message["content"] or "")
        calls = [call for part in parts for call in part["delta"].get("tool_calls", ())]
        arguments = "".join(call["function"]["arguments"] for call in calls)
        assert arguments == "".join(call["function"]["arguments"] for call in message.get("tool_calls", ()))
        assert parts[-1]["finish_reason"] == choice["finish_reason"]
    usage, other = chunks[-1]["usage"], whole["usage"]
    assert [usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")] == [
        other[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    ]


def test_answers_differ_and_can_be_had_again(server: RunningServer) -> None:
    answers = contents(server, THREE)
    assert len(set(answers)) == 3
    assert contents(server, THREE) == answers
    assert contents(server, THREE | {"n": 1}) == answers[:1], "the first is the one that would come alone"


def test_usage_counts_the_prompt_once(server: RunningServer) -> None:
    one, three = (server.post(json=THREE | {"n": n}).json()["usage"] for n in (1, 3))
    assert three["prompt_tokens"] == one["prompt_tokens"]
    assert (one["completion_tokens"], three["completion_tokens"]) == (40, 120)
    assert three["total_tokens"] == three["prompt_tokens"] + 120


def test_a_stop_string_ends_one_answer_only(server: RunningServer) -> None:
    first, *others = contents(server, THREE)
    stop = next(first[at : at + 4] for at in range(5, len(first)) if not any(first[at : at + 4] in o for o in others))
    stopped = server.post(json=THREE | {"stop": stop}).json()["choices"]
    assert [choice["message"]["content"] for choice in stopped] == [first.partition(stop)[0], *others]
    assert [choice["finish_reason"] for choice in stopped] == ["stop", "length", "length"]


def test_every_answer_has_a_call_of_its_own_where_one_is_required(server: RunningServer) -> None:
    choices = server.post(json=CALLS).json()["choices"]
    assert [choice["finish_reason"] for choice in choices] == ["tool_calls"] * 2
    calls = [call for choice in choices for call in choice["message"]["tool_calls"]]
    assert {call["function"]["name"] for call in calls} == {"get_weather"}
    assert len({call["id"] for call in calls}) == len(calls) == 2


def test_openai_stream_helper(client: OpenAI) -> None:
    """openai-python's accumulator takes interleaved answers apart by their index."""
    with client.chat.completions.stream(model="demo", **CALLS) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert [choice.index for choice in final.choices] == [0, 1]
    for choice in final.choices:
        assert choice.finish_reason == "tool_calls"
        (call,) = choice.message.tool_calls or []
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})


def test_prompts_times_answers(server: RunningServer) -> None:
    """Numbered prompt by prompt, as OpenAI's reference has it, and each as if it had been asked for alone."""
    answer = server.post("/v1/completions", json=BARE).json()
    assert [choice["index"] for choice in answer["choices"]] == list(range(6))
    expected, prompt_tokens = [], 0
    for prompt in BARE["prompt"]:
        alone = server.post("/v1/completions", json=BARE | {"prompt": prompt}).json()
        expected += [(choice["text"], choice["finish_reason"]) for choice in alone["choices"]]
        prompt_tokens += alone["usage"]["prompt_tokens"]
    assert [(choice["text"], choice["finish_reason"]) for choice in answer["choices"]] == expected
    assert answer["usage"]["prompt_tokens"] == prompt_tokens

    chunks = chunks_of(server.stream(BARE | {"stream_options": {"include_usage": True}}, "/v1/completions"))
    parts = by_choice(chunks)
    streamed = ["".join(part["text"] for part in parts[index]) for index in range(6)]
    assert streamed == [text for text, _ in expected]
    assert chunks[-1]["usage"]["completion_tokens"] == answer["usage"]["completion_tokens"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("stream", [False, True])
def test_more_than_the_model_has_room_for(server: RunningServer, path: str, stream: bool) -> None:
    body = {"messages": user("Hello!"), "prompt": "Hello", "n": 5, "stream": stream}
    response = server.post(path, json=body)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, "n")
    assert "4" in error["message"]
    assert "--parallel" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_all_of_them(slow_server: RunningServer, stream: bool) -> None:
    body = THREE | {"max_tokens": 30000, "stream": stream}
    if stream:
        with httpx.stream("POST", f"{slow_server.url}/v1/chat/completions", json=body, timeout=60) as response:
            received = response.iter_bytes()
            next(received)
            slow_server.wait_for_queue(running=3)
    else:
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{slow_server.url}/v1/chat/completions", json=body, timeout=0.5)
    slow_server.wait_for_queue(running=0, waiting=0, timeout=10)
    assert len(contents(slow_server, THREE | {"max_tokens": 1})) == 3
