"""Anthropic's clients in front of another server: what goes on to it, and what comes back, in the words of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from chatglm_server.settings import Settings
from tests.api.messages.test_messages_stream import TOOL
from tests.conftest import WEATHER
from tests.raw_backend import RawBackend, delta, stream, text, whole
from tests.serving import user
from tests.serving_here import serving
from tests.upstream import USAGE

ASK: dict[str, Any] = {"model": "some-model", "max_tokens": 50, "messages": user("Weather?")}


@pytest.fixture(scope="module")
def client(backend: RawBackend) -> Iterator[Anthropic]:
    with serving(Settings(_env_file=None, model=backend.address)) as (url, _):
        yield Anthropic(base_url=url, api_key="of-the-client", max_retries=0)


def test_a_tool_loop(client: Anthropic, backend: RawBackend) -> None:
    function = {"name": "get_weather", "arguments": '{"city":'}
    begun = {"index": 0, "id": "call_1", "type": "function", "function": function}
    ended = {"index": 0, "function": {"arguments": '"Paris"}'}}
    calls = [delta({"tool_calls": [begun]}), delta({"tool_calls": [ended]}), delta(reason="tool_calls", usage=USAGE)]
    backend.play(stream(delta({"reasoning_content": "Paris."}), *text("I look."), *calls))
    thinking: Any = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(**ASK, tools=[TOOL], thinking=thinking) as events:
        asked = events.get_final_message()
    thought, said, call = asked.content
    assert (thought.type, said.to_dict()["text"], call.to_dict()["input"]) == ("thinking", "I look.", {"city": "Paris"})
    assert asked.stop_reason == "tool_use"
    usage = asked.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (8, 3, 5)

    image = {"type": "image", "source": {"type": "url", "url": "https://pictures.example/1"}}
    result = {"type": "tool_result", "tool_use_id": call.to_dict()["id"], "content": "21"}
    history = [{"role": "assistant", "content": asked.content}, {"role": "user", "content": [result, image]}]
    client.messages.create(**ASK | {"messages": [*ASK["messages"], *history]}, tools=[TOOL])
    first, second = backend.requests
    assert first.body["tools"] == [WEATHER]
    assert (first.body["reasoning_effort"], first.body["thinking_budget"]) == ("high", 1024)
    assert second.body["messages"][1]["reasoning_content"] == "Paris."
    (sent,) = second.body["messages"][1]["tool_calls"]
    assert json.loads(sent["function"]["arguments"]) == {"city": "Paris"}
    assert second.body["messages"][2:] == [
        {"role": "tool", "tool_call_id": sent["id"], "content": "21"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://pictures.example/1"}}]},
    ]


@pytest.mark.parametrize(("said", "reason"), [("END", "stop_sequence"), (7, "end_turn"), (None, "end_turn")])
def test_a_stop_string_that_the_backend_names(
    client: Anthropic, backend: RawBackend, said: object, reason: str
) -> None:
    end = delta(reason="stop")
    end["choices"][0]["stop_reason"] = said
    backend.play(stream(*text("Hi"), end))
    answer = client.messages.create(**ASK, stop_sequences=["END"])
    assert (answer.stop_reason, answer.stop_sequence) == (reason, said if reason == "stop_sequence" else None)
    assert backend.requests[0].body["stop"] == ["END"]


@pytest.mark.parametrize(
    ("limit", "usage", "reason"),
    [(5, USAGE, "max_tokens"), (50, USAGE, "model_context_window_exceeded"), (50, None, "max_tokens")],
)
def test_a_limit_that_ended_the_answer(
    client: Anthropic, backend: RawBackend, limit: int, usage: dict[str, Any] | None, reason: str
) -> None:
    """Where the backend has not counted, it is the client's own limit."""
    backend.play(stream(*text("Hi"), delta(reason="length", usage=usage)))
    answer = client.messages.create(**ASK | {"max_tokens": limit})
    assert answer.stop_reason == reason


MIXED: dict[str, list[tuple[int, str, str]]] = {
    "in turns": [(0, "f", '{"a": "}'), (1, "g", '{"x": '), (0, "", '"}'), (1, "", "1}")],
    "without arguments": [(0, "f", ""), (1, "g", '{"x": 1}'), (2, "h", "")],
    "first all names": [(0, "f", ""), (1, "g", ""), (0, "", '{"a": 2}'), (1, "", '{"x": 1}')],
}


@pytest.mark.parametrize("parts", MIXED.values(), ids=MIXED)
def test_calls_whose_fragments_the_backend_mixes(
    client: Anthropic, backend: RawBackend, parts: list[tuple[int, str, str]]
) -> None:
    """In streams of these APIs one call follows the other."""
    sent: dict[int, list[str]] = {}
    events = []
    for index, name, arguments in parts:
        sent.setdefault(index, [name]).append(arguments)
        head = {"id": f"call_{name}", "type": "function"} if name else {}
        function = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
        events.append(delta({"tool_calls": [{"index": index, **head, "function": function}]}))
    expected = [(name, json.loads("".join(texts) or "{}")) for name, *texts in sent.values()]
    backend.play(stream(*events, delta(reason="tool_calls")))
    streamed = httpx.post(f"{client.base_url}/v1/messages", json=ASK | {"stream": True}, timeout=60).text
    inputs: dict[int, list[str]] = {}
    opened = None
    for event in (json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: ")):
        if event["type"] == "content_block_start":
            opened = event["index"]
            inputs[opened] = [event["content_block"]["name"]]
        elif event["type"] == "content_block_delta":
            assert event["index"] == opened
            inputs[opened].append(event["delta"]["partial_json"])
    assert [(name, json.loads("".join(texts))) for name, *texts in inputs.values()] == expected
    openai = OpenAI(base_url=f"{client.base_url}/v1", api_key="none", max_retries=0)
    with openai.responses.stream(model="some-model", input="Weather?") as items:
        response = items.get_final_response()
    called = [(item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"]
    assert called == expected


def test_a_prompt_too_long_for_the_backend(client: Anthropic, backend: RawBackend) -> None:
    """In the words by which Claude Code compacts the conversation, and with the code by which Codex does."""
    words = "This model's maximum context length is 4096 tokens. However, your messages resulted in 5000 tokens."
    refusal = {"message": words, "type": "BadRequestError", "code": 400}
    backend.play(whole({"error": refusal}, "400 Bad Request"))
    with pytest.raises(anthropic.BadRequestError, match="prompt is too long: 5000 tokens > 4096 maximum"):
        client.messages.create(**ASK)
    items = {"model": "some-model", "input": "Weather?"}
    for more in ({}, {"stream": True}):
        refused = httpx.post(f"{client.base_url}/v1/responses", json=items | more, timeout=60)
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["message"]) == (400, "context_length_exceeded", words)
    backend.play(stream(*text("Hi"), {"error": refusal}))  # some servers find out late
    responses = httpx.post(f"{client.base_url}/v1/responses", json=items | {"stream": True}, timeout=60).text
    assert '"type":"response.failed"' in responses
    assert '"code":"context_length_exceeded"' in responses
    messages = httpx.post(f"{client.base_url}/v1/messages", json=ASK | {"stream": True}, timeout=60).text
    assert "prompt is too long: 5000 tokens > 4096 maximum" in messages


def test_errors(client: Anthropic, backend: RawBackend) -> None:
    backend.play(whole({"error": {"message": "slow down"}}, "429 Too Many Requests", "Retry-After: 7"))
    with pytest.raises(anthropic.RateLimitError, match="slow down") as limited:
        client.messages.create(**ASK)
    assert limited.value.response.headers["retry-after"] == "7"
    with pytest.raises(anthropic.APIStatusError, match="no way to count") as unknown:
        client.messages.count_tokens(model="some-model", messages=ASK["messages"])
    assert unknown.value.status_code == 501
    assert unknown.value.response.headers["x-should-retry"] == "false"
