"""In front of another server: several answers to one request, and log probabilities."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI

from tests.raw_backend import RawBackend, stream, whole
from tests.serving import RunningServer
from tests.upstream import ASK, HELLO, ONE_CALL, USAGE, chunks, folded, joined

TWO = ASK | {"n": 2}
TOKENS = [
    {"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": [{"token": "J", "logprob": -1.5, "bytes": None}]},
    {"token": "i", "logprob": -9999.0, "bytes": None, "top_logprobs": []},
]
READ = [
    {"token": "H", "logprob": -0.5, "bytes": [72], "top_logprobs": [{"token": "J", "logprob": -1.5, "bytes": [74]}]},
    {"token": "i", "logprob": -9999.0, "bytes": [105], "top_logprobs": []},
]


def part(index: int, fields: dict[str, Any], reason: str | None = None, **more: Any) -> dict[str, Any]:
    """A chunk of one of several answers."""
    choice = {"index": index, "delta": fields, "finish_reason": reason, **more}
    return {"model": "glm-4-9b-chat", "choices": [choice]}


def both(body: dict[str, Any], front: RunningServer) -> list[list[dict[str, Any]]]:
    """The choices of a request, streamed and whole, each in the shape of `joined`."""
    parts = [chunk for chunk in chunks(front, body) if chunk["choices"]]
    streamed = [joined([one for one in parts if one["choices"][0]["index"] == index]) for index in range(body["n"])]
    response = front.post(json=body)
    assert response.status_code == 200, response.text
    choices = response.json()["choices"]
    assert [choice["index"] for choice in choices] == list(range(body["n"]))
    return [streamed, [folded(choice) for choice in choices]]


def test_answers_are_parsed_each_by_itself(front: RunningServer, backend: RawBackend) -> None:
    """The chunks of two answers come in turns; one holds a call, the other is plain."""
    events = []
    for at in range(max(len(ONE_CALL), 9)):
        events += [part(0, {"content": ONE_CALL[at : at + 1]}), part(1, {"content": "Plain one"[at : at + 1]})]
    backend.play(stream(*events, part(1, {}, "length"), part(0, {}, "stop"), {"choices": [], "usage": USAGE}))
    for first, second in both(TWO, front):
        ((name, arguments),) = [(call["name"], call["arguments"]) for call in first["tool_calls"]]
        assert (first["content"], name, json.loads(arguments)) == ("I look.", "get_weather", {"city": "巴黎"})
        assert first["finish_reason"] == "tool_calls"
        assert (second["content"], second["tool_calls"], second["finish_reason"]) == ("Plain one", [], "length")
    assert [request.body["n"] for request in backend.requests] == [2, 2]


def test_numbers_that_json_lacks_do_not_pass(front: RunningServer, backend: RawBackend) -> None:
    usage = USAGE | {"tokens_per_second": float("nan")}
    script = stream(part(0, {"content": "Hi"}, "stop"), {"choices": [], "usage": usage})
    assert "NaN" in str(script), "the backend does send it"
    backend.play(script)
    body = HELLO | {"stream_options": {"include_usage": True}}
    assert b"NaN" not in front.stream(body)
    assert chunks(front, body)[-1]["usage"] == USAGE


def test_usage_counts_all_answers_once(front: RunningServer, backend: RawBackend) -> None:
    ends = [part(index, {"content": "Hi"}, "stop") for index in (0, 1)]
    backend.play(stream(*ends, {"choices": [], "usage": USAGE}))
    assert front.post(json=TWO).json()["usage"] == USAGE
    last = chunks(front, TWO | {"stream_options": {"include_usage": True}})[-1]
    assert (last["choices"], last["usage"]) == ([], USAGE)


def test_calls_of_the_backends_own(front: RunningServer, backend: RawBackend) -> None:
    """Each answer numbers its calls from 0."""
    call = {"index": 0, "id": "id-a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    events = [part(index, {"tool_calls": [call | {"id": f"id-{index}"}]}, "tool_calls") for index in (0, 1)]
    backend.play(stream(*events))
    for answers in both(TWO, front):
        assert [[one["id"] for one in answer["tool_calls"]] for answer in answers] == [["id-0"], ["id-1"]]


def test_a_whole_answer_of_several(front: RunningServer, backend: RawBackend) -> None:
    choices = [
        {"index": index, "message": {"content": word}, "finish_reason": "stop"} for index, word in enumerate("ab")
    ]
    backend.play(whole({"choices": choices, "usage": USAGE}))
    for answers in both(TWO, front):
        assert [answer["content"] for answer in answers] == ["a", "b"]


def test_a_backend_that_gives_fewer(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(part(0, {"content": "Hi"}, "stop")))
    refused = front.post(json=TWO)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_failure")
    assert "1 of 2 answers" in refused.json()["error"]["message"]
    assert chunks(front, TWO)[-1]["error"]["code"] == "upstream_failure"


def test_answers_nobody_asked_for_are_left_out(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*(part(index, {"content": "Hi"}, "stop") for index in (0, 1, -1, 10**9))))
    assert len(front.post(json=HELLO).json()["choices"]) == 1


def test_log_probabilities(front: RunningServer, backend: RawBackend) -> None:
    events = [part(0, {"content": token["token"]}, logprobs={"content": [token]}) for token in TOKENS]
    backend.play(stream(*events, part(0, {}, "stop")))
    body = HELLO | {"logprobs": True, "top_logprobs": 1}
    assert front.post(json=body).json()["choices"][0]["logprobs"]["content"] == READ
    streamed = [chunk["choices"][0]["logprobs"] for chunk in chunks(front, body)]
    assert [token for one in streamed if one for token in one["content"]] == READ
    assert all(request.body["logprobs"] is True for request in backend.requests)
    assert all(request.body["top_logprobs"] == 1 for request in backend.requests)


def test_log_probabilities_nobody_asked_for_are_left_out(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(part(0, {"content": "H"}, "stop", logprobs={"content": TOKENS[:1]})))
    assert front.post(json=HELLO).json()["choices"][0]["logprobs"] is None


@pytest.mark.parametrize("shape", ["chat", "completion"])
def test_log_probabilities_of_bare_completions(front: RunningServer, backend: RawBackend, shape: str) -> None:
    """OpenAI has lists of equal length there; llama.cpp answers as in chats."""
    lists = {"tokens": ["H", "i"], "token_logprobs": [-0.5, None], "top_logprobs": [{"J": -1.5}, None]}
    logprobs = lists if shape == "completion" else {"content": TOKENS}
    ends = [{"index": index, "text": "Hi", "logprobs": logprobs, "finish_reason": "stop"} for index in (0, 1)]
    backend.play(stream({"choices": ends}))
    body = {"model": "m", "prompt": ["one", "two"], "n": 2, "logprobs": 1}
    choices = front.post("/v1/completions", json=body).json()["choices"]
    assert [choice["index"] for choice in choices] == [0, 1, 2, 3]
    for choice in choices:
        assert choice["text"] == "Hi"
        assert choice["logprobs"]["tokens"] == ["H", "i"]
        assert choice["logprobs"]["token_logprobs"] == [-0.5, -9999.0]
        assert choice["logprobs"]["top_logprobs"][0] == {"J": -1.5, "H": -0.5}
    assert [(request.body["n"], request.body["logprobs"]) for request in backend.requests] == [(2, 1)] * 2


def test_openais_client_reads_them(front: RunningServer, backend: RawBackend) -> None:
    events = [
        part(index, {"content": token["token"]}, logprobs={"content": [token]})
        for index, token in [(0, TOKENS[0]), (1, TOKENS[0]), (1, TOKENS[1])]
    ]
    backend.play(stream(*events, part(1, {}, "stop"), part(0, {}, "stop")))
    client = OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0)
    with client.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "Hello!"}], n=2, logprobs=True
    ) as answers:
        completion = answers.get_final_completion()
    assert [choice.message.content for choice in completion.choices] == ["H", "Hi"]
    logprobs = completion.choices[1].logprobs
    assert logprobs is not None
    assert [token.token for token in logprobs.content or ()] == ["H", "i"]
