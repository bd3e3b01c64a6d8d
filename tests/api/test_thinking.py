"""Reasoning on the wire, and the switches for it: a model that thinks, behind a real socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from chatglm_server.api.openai.bodies import ChatCompletionBody
from chatglm_server.chat import Thinking
from chatglm_server.errors import InvalidRequest
from tests.conftest import WEATHER
from tests.serving import RunningServer, user

ASK: dict[str, Any] = {"messages": user("Hello!"), "max_tokens": 12, "temperature": 0}


@pytest.fixture(scope="module")
def thinking_server() -> Iterator[RunningServer]:
    """The demo model with the prompts of GLM-Z1: its answers begin inside a thought."""
    with RunningServer("--model", "demo-glm4", "--chat-format", "glm-z1") as running:
        yield running


def deltas(raw: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix(b"data: ") for line in raw.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line)["choices"][0]["delta"] for line in lines]


def test_the_list_of_models_says_when_the_model_thinks(thinking_server: RunningServer) -> None:
    (info,) = httpx.get(f"{thinking_server.url}/v1/models").json()["data"]
    assert info["thinking"] == "always"


def test_reasoning_is_streamed_as_such(thinking_server: RunningServer) -> None:
    message = thinking_server.post(json=ASK).json()["choices"][0]["message"]
    streamed = deltas(thinking_server.stream(ASK))

    assert message["reasoning_content"]
    assert "".join(delta.get("reasoning_content", "") for delta in streamed) == message["reasoning_content"]
    assert not any("reasoning_content" in delta and "content" in delta for delta in streamed)


def test_a_forced_call_ends_the_thought_first(thinking_server: RunningServer) -> None:
    """The demo model was not made for these prompts, so its call may be none; but it begins as one."""
    body = ASK | {"tools": [WEATHER], "tool_choice": "required", "messages": user("What is the weather in Paris?")}
    message = thinking_server.post(json=body | {"max_tokens": 40}).json()["choices"][0]["message"]

    assert "reasoning_content" not in message
    assert message.get("tool_calls") or message["content"].startswith("get_weather\n{")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"reasoning_effort": "none"}, "reasoning_effort"),
        ({"thinking": {"type": "disabled"}}, "enable_thinking"),
        ({"chat_template_kwargs": {"clear_thinking": False}}, "clear_thinking"),
    ],
)
def test_what_the_model_cannot_help_is_refused(
    thinking_server: RunningServer, body: dict[str, Any], param: str
) -> None:
    response = thinking_server.post(json=ASK | body)

    assert response.status_code == 400
    assert (response.json()["error"]["code"], response.json()["error"]["param"]) == ("unsupported_parameter", param)


def test_earlier_thoughts_are_taken(thinking_server: RunningServer) -> None:
    answer = {"role": "assistant", "content": "Hi.", "reasoning_content": "A greeting."}
    body = ASK | {"messages": [*user("Hello!"), answer, *user("Bye!")], "enable_thinking": True, "max_tokens": 1}
    assert thinking_server.post(json=body).status_code == 200


@pytest.mark.parametrize(
    ("body", "thinking"),
    [
        ({}, Thinking()),
        ({"reasoning_effort": "high"}, Thinking(effort="high")),
        ({"enable_thinking": False}, Thinking(enabled=False)),
        ({"thinking": {"type": "enabled", "clear_thinking": False}}, Thinking(enabled=True, clear=False)),
        ({"thinking": {"type": "disabled"}, "enable_thinking": False}, Thinking(enabled=False)),
        (
            {"chat_template_kwargs": {"enable_thinking": True, "clear_thinking": True, "reasoning_effort": "low"}},
            Thinking(enabled=True, effort="low", clear=True),
        ),
    ],
    ids=str,
)
def test_all_spellings_of_the_switch(body: dict[str, Any], thinking: Thinking) -> None:
    assert ChatCompletionBody.model_validate(ASK | body).to_request(frozenset()).thinking == thinking


def test_contradictions_are_refused() -> None:
    body = ASK | {"enable_thinking": True, "thinking": {"type": "disabled"}}
    with pytest.raises(InvalidRequest) as caught:
        ChatCompletionBody.model_validate(body).to_request(frozenset())
    assert caught.value.param == "enable_thinking"


@pytest.mark.parametrize(
    ("thinking", "wanted"),
    [
        (Thinking(), None),
        (Thinking(effort="none"), False),
        (Thinking(effort="low"), True),
        (Thinking(enabled=True, effort="none"), True),
        (Thinking(enabled=False, effort="high"), False),
    ],
)
def test_whether_to_think(thinking: Thinking, wanted: bool | None) -> None:
    assert thinking.wanted is wanted


def test_a_thought_ends_at_its_budget(thinking_server: RunningServer) -> None:
    whole = thinking_server.post(json=ASK | {"max_tokens": 60}).json()
    assert whole["usage"]["completion_tokens_details"]["reasoning_tokens"] > 5, "it thinks longer"
    closing = "That is enough thought. Now the answer."
    for fields in (
        {"thinking_budget": 5},
        {"thinking_budget_tokens": 5, "thinking": {"type": "enabled", "budget_tokens": 5}},
        {"reasoning": {"max_tokens": 5}, "logprobs": True},
    ):
        body = thinking_server.post(json=ASK | {"max_tokens": 60} | fields).json()
        message = body["choices"][0]["message"]
        thought, _, rest = message["reasoning_content"].partition(closing)
        assert thought.strip() and whole["choices"][0]["message"]["reasoning_content"].startswith(thought.strip())
        assert rest == ""
        assert message["content"]
    none = thinking_server.post(json=ASK | {"max_tokens": 60, "thinking_budget": 0}).json()["choices"][0]["message"]
    assert none["reasoning_content"] == closing
    unlimited = thinking_server.post(json=ASK | {"max_tokens": 60, "thinking_budget": -1}).json()
    assert unlimited["choices"] == whole["choices"]
    refused = thinking_server.post(json=ASK | {"thinking_budget": -2})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "thinking_budget")


def test_the_server_has_a_budget_of_its_own() -> None:
    with RunningServer("--model", "demo-glm4", "--chat-format", "glm-z1", "--thinking-budget", "3") as server:
        for fields, words in (({}, "enough"), ({"thinking_budget": -1}, "")):
            body = server.post(json=ASK | {"max_tokens": 60} | fields).json()
            thought = body["choices"][0]["message"]["reasoning_content"]
            assert (words and words in thought) or (not words and "enough" not in thought)
