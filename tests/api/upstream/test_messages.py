"""Anthropic's clients in front of another server: what goes on to it, and what comes back, in the words of each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic

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
