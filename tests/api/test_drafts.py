"""Guessing ahead over HTTP: the answer is the same, and what was guessed is counted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from openai import OpenAI

from tests.conftest import ADD, WEATHER
from tests.serving import RunningServer, user

ASK: dict[str, Any] = {"messages": user("Who are you?"), "temperature": 0, "max_tokens": 60}
BARE: dict[str, Any] = {"prompt": "one two three one two three one two three", "temperature": 0, "max_tokens": 60}
COUNTS = {
    *("cache_n", "prompt_n", "prompt_ms", "prompt_per_token_ms", "prompt_per_second"),
    *("predicted_n", "predicted_ms", "predicted_per_token_ms", "predicted_per_second"),
    *("draft_n", "draft_n_accepted"),
}
"""llama-server's names."""


@pytest.fixture(scope="module")
def plain() -> Iterator[RunningServer]:
    """A server that guesses nothing."""
    with RunningServer("--speculation", "off") as server:
        yield server


def asked(server: RunningServer, body: dict[str, Any], path: str = "/v1/chat/completions") -> dict[str, Any]:
    response = server.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_an_answer_that_was_predicted_is_the_same(server: RunningServer, plain: RunningServer, client: OpenAI) -> None:
    without = asked(plain, ASK)
    text = without["choices"][0]["message"]["content"]
    for prediction in (text, "Something else altogether, and much longer than the answer. " * 20):
        answer: Any = client.chat.completions.create(
            model="demo", **ASK, prediction={"type": "content", "content": prediction}
        )
        assert answer.choices[0].message.content == text
        assert answer.usage.completion_tokens == without["usage"]["completion_tokens"]
        details = answer.usage.completion_tokens_details
        assert details.accepted_prediction_tokens > 0 or prediction != text
        assert details.rejected_prediction_tokens >= 0
    parts = [{"type": "text", "text": text[:20]}, {"type": "text", "text": text[20:]}]
    in_parts = asked(server, ASK | {"prediction": {"type": "content", "content": parts}})
    assert in_parts["choices"] == without["choices"]
    assert in_parts["usage"]["completion_tokens_details"]["accepted_prediction_tokens"] > 0


def test_an_answer_that_was_given_before_is_drafted(plain: RunningServer) -> None:
    expected = asked(plain, ASK)["choices"]
    accepted = []
    with RunningServer() as fresh:  # one that no other test has asked the same
        for _ in range(2):
            answer = asked(fresh, ASK)
            assert answer["choices"] == expected
            accepted.append(answer["usage"]["completion_tokens_details"]["accepted_prediction_tokens"])
    assert accepted[1] > accepted[0]


SCHEMA = {"type": "object", "properties": {"names": {"type": "array", "items": {"type": "string"}}}}
SAID = "one two three four one two three four"
OPTIONS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 0, "stop": ["o t", "four"]},
    {"temperature": 1, "n": 3},
    {"temperature": 0.6, "top_p": 0.9, "logprobs": True, "top_logprobs": 3},
    {"temperature": 1.5, "top_k": 40, "min_p": 0.05},
    {"temperature": 0, "frequency_penalty": 0.5, "presence_penalty": 0.5},
    {"temperature": 0.8, "repetition_penalty": 1.2},
    {"temperature": 1, "logit_bias": {"100": 5, "200": 3}},
    {"temperature": 1, "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}},
    {"temperature": 1, "guided_regex": "(one|two|three| )*", "logprobs": True},
    {"temperature": 1, "tools": [WEATHER, ADD], "tool_choice": "required"},
]


def test_answers_are_the_same_with_any_options(server: RunningServer, plain: RunningServer) -> None:
    """One by one without guesses, and all at once with them, predicted or not."""
    bodies = [
        {"messages": user(f"Repeat: {SAID}"), "max_tokens": 50, "seed": seed, **options}
        for seed, options in enumerate(OPTIONS)
    ]
    expected = [without_call_ids(asked(plain, body)["choices"]) for body in bodies]
    prediction = {"type": "content", "content": f'{SAID} {{"names": ["one", "two"]}} ' * 3}
    with ThreadPoolExecutor(6) as threads:
        for further in ({}, {"prediction": prediction}):
            answers = threads.map(lambda body: asked(server, body), [body | further for body in bodies])
            assert [without_call_ids(answer["choices"]) for answer in answers] == expected


def without_call_ids(choices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ids of calls are random."""
    for choice in choices:
        for call in choice["message"].get("tool_calls", ()):
            del call["id"]
    return choices


def test_a_server_that_guesses_nothing_counts_nothing(server: RunningServer, plain: RunningServer) -> None:
    answers = [asked(one, BARE, "/v1/completions") for one in (server, plain)]
    assert answers[0]["choices"] == answers[1]["choices"]
    counts = answers[0]["usage"]["completion_tokens_details"]
    assert set(counts) == {"accepted_prediction_tokens", "rejected_prediction_tokens"}
    assert 0 < counts["accepted_prediction_tokens"] <= answers[0]["usage"]["completion_tokens"]
    assert "completion_tokens_details" not in answers[1]["usage"]
    state: Any = server.health()["drafts"]
    assert state["drafted"] >= state["accepted"] >= counts["accepted_prediction_tokens"]
    assert "drafts" not in plain.health()


@pytest.mark.parametrize(
    "wrong",
    ["x", {"type": "content"}, {"type": "text", "content": "x"}, {"type": "content", "content": [{"type": "image"}]}],
)
def test_a_prediction_that_is_none(server: RunningServer, wrong: object) -> None:
    response = server.post(json=ASK | {"prediction": wrong})
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith("prediction")


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", ASK), ("/v1/completions", BARE)])
def test_timings_on_request(server: RunningServer, path: str, body: dict[str, Any]) -> None:
    """In a whole answer, and in each chunk of a stream that has a part of an answer."""
    assert "timings" not in asked(server, body, path)
    body = body | {"timings_per_token": True, "n": 2, "seed": 1, "temperature": 1}
    answer = asked(server, body, path)
    timings, usage = answer["timings"], answer["usage"]
    assert set(timings) == COUNTS
    assert timings["cache_n"] + timings["prompt_n"] == usage["prompt_tokens"]
    assert timings["predicted_n"] == usage["completion_tokens"]
    assert timings["predicted_per_second"] == pytest.approx(1000 * timings["predicted_n"] / timings["predicted_ms"])
    assert timings["draft_n_accepted"] == usage["completion_tokens_details"]["accepted_prediction_tokens"]
    lines = server.stream(body | {"stream": True}, path).decode().split("\n\n")
    sent = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]
    ends = 0
    for index in range(2):
        chunks = [chunk for chunk in sent if chunk["choices"][0]["index"] == index]
        parts = [chunk for chunk in chunks if chunk["choices"][0].get("delta") != {"role": "assistant", "content": ""}]
        assert all(set(chunk["timings"]) == COUNTS for chunk in parts)
        for name in ("predicted_n", "predicted_ms"):
            figures = [chunk["timings"][name] for chunk in parts]
            assert figures == sorted(figures)
        counts = [chunk["timings"]["predicted_n"] for chunk in parts]
        assert counts[0] < counts[len(counts) // 2] < counts[-1]
        assert len({(chunk["timings"]["cache_n"], chunk["timings"]["prompt_n"]) for chunk in parts}) == 1
        ends += counts[-1]
    assert ends == timings["predicted_n"]
