"""openai-python's client of the Responses API, against the demo model."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

from chatglm_server.api.responses.schemas import ResponseObject
from tests.conftest import ADD, WEATHER
from tests.serving import RunningServer, user

QUESTION = "What is the weather in Paris?"
TOOLS: list[Any] = [{"type": "function", **tool["function"]} for tool in (WEATHER, ADD)]


def test_it_reads_and_answers_as_chat_completions_do(client: OpenAI) -> None:
    """The same prompt, the same tokens, whole and streamed; in the name that was asked for."""
    system, history = (
        "You are a poet.",
        [*user("Hello!"), {"role": "assistant", "content": "Hi!"}, *user("Who are you?")],
    )
    messages: Any = [{"role": "system", "content": system}, *history]
    chat = client.chat.completions.create(model="demo", messages=messages, temperature=0)
    asked: dict[str, Any] = {"model": "gpt-5", "instructions": system, "input": history, "temperature": 0}
    whole = client.responses.create(**asked)
    with client.responses.stream(**asked) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        last = stream.get_final_response()
    assert whole.output_text == text == last.output_text == chat.choices[0].message.content
    assert chat.usage is not None
    for response in (whole, last):
        assert (response.status, response.model) == ("completed", "gpt-5")
        assert response.usage is not None
        assert response.usage.input_tokens == chat.usage.prompt_tokens
        assert response.usage.output_tokens == chat.usage.completion_tokens
        assert response.usage.input_tokens_details.cached_tokens == chat.usage.prompt_tokens - 1


def test_a_tool_loop(client: OpenAI) -> None:
    history: list[Any] = user(QUESTION)
    asked = client.responses.create(model="demo", input=history, tools=TOOLS, temperature=0)
    (call,) = asked.output
    assert call.type == "function_call"
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "Paris"})
    history += [call, {"type": "function_call_output", "call_id": call.call_id, "output": '{"sky": "sunny"}'}]
    answer = client.responses.create(model="demo", input=history, tools=TOOLS, temperature=0)
    assert "sunny" in answer.output_text


def test_a_tool_that_must_be_called(client: OpenAI) -> None:
    answer = client.responses.create(
        model="demo",
        input="What is 2 plus 3?",
        tools=TOOLS,
        tool_choice={"type": "function", "name": "add"},
        parallel_tool_calls=False,
        temperature=0,
    )
    assert [item.name for item in answer.output if item.type == "function_call"] == ["add"]


def test_an_answer_in_a_given_form(client: OpenAI) -> None:
    class Forecast(BaseModel):
        city: str = Field(max_length=20)
        days: int = Field(ge=1, le=9)

    answer = client.responses.parse(model="demo", input="Weather in Paris for 3 days?", text_format=Forecast)
    assert answer.output_parsed is not None
    assert json.loads(answer.output_text) == answer.output_parsed.model_dump()


def test_log_probabilities(client: OpenAI) -> None:
    """Those of chat completions, without the blanks around the text: whole, and in a stream with each piece."""
    asked: dict[str, Any] = {"model": "demo", "temperature": 0, "top_logprobs": 2}
    messages: Any = user("Hello!")
    chat: Any = client.chat.completions.create(messages=messages, logprobs=True, **asked)
    sampled = [one.to_dict() for one in chat.choices[0].logprobs.content]
    written = [place for place, one in enumerate(sampled) if one["token"].strip()]
    expected = sampled[written[0] : written[-1] + 1]
    assert written[0] > 0
    asked |= {"input": "Hello!", "include": ["message.output_text.logprobs"]}
    with client.responses.stream(**asked) as stream:
        pieces = [event for event in stream if event.type == "response.output_text.delta"]
        last = stream.get_final_response()
    for answer in (client.responses.create(**asked), last):
        assert answer.top_logprobs == 2
        (message,) = answer.to_dict()["output"]  # type: ignore[misc]
        assert message["content"][0]["logprobs"] == expected
    assert len(pieces) > 1
    assert [one.token for piece in pieces for one in piece.logprobs or ()] == [one["token"] for one in expected]
    assert "".join(one["token"] for one in expected) == last.output_text

    first: Any = client.responses.create(**asked | {"top_logprobs": 0, "max_output_tokens": written[0] + 1}).to_dict()
    assert first["output"][0]["content"][0]["logprobs"] == [expected[0] | {"top_logprobs": []}]


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ({"temperature": 9}, "temperature", "invalid_value"),
        ({"max_output_tokens": 0}, "max_output_tokens", "invalid_value"),
        ({"top_logprobs": 99}, "top_logprobs", "invalid_value"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort", "invalid_value"),
        ({"input": "word " * 9000}, "input", "context_length_exceeded"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        (
            {"tools": [TOOLS[0], TOOLS[1] | {"strict": True, "parameters": {"type": "poem"}}]},
            "tools[1].parameters",
            "invalid_value",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_come_before_the_stream(
    server: RunningServer, body: dict[str, Any], field: str, code: str, stream: bool
) -> None:
    refused = server.post("/v1/responses", json={"input": QUESTION, "stream": stream} | body)
    assert refused.status_code == 400
    error = refused.json()["error"]
    assert (error["param"], error["code"], error["type"]) == (field, code, "invalid_request_error")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/responses/resp_1"),
        ("HEAD", "/v1/responses/resp_1"),
        ("DELETE", "/v1/responses/resp_1"),
        ("GET", "/v1/responses/resp_1/input_items"),
        ("POST", "/v1/responses/resp_1/cancel"),
        ("POST", "/v1/responses/compact"),
        ("POST", "/v1/responses/input_tokens"),
    ],
)
def test_nothing_is_kept(server: RunningServer, method: str, path: str) -> None:
    headers = {"Content-Type": "application/json"} if method == "POST" else {}
    content = b"{}" if method == "POST" else None
    answer = httpx.request(method, server.url + path, headers=headers, content=content, timeout=60)
    assert answer.status_code == 404
    if method != "HEAD":
        assert "keeps no responses" in answer.json()["error"]["message"]


def test_answers_fit_the_reference(server: RunningServer) -> None:
    body = {"input": QUESTION, "tools": TOOLS, "temperature": 0, "text": {"verbosity": "low"}}
    ResponseObject.model_validate_json(server.post("/v1/responses", json=body).content, strict=True)
    reference = httpx.get(f"{server.url}/openapi.json", timeout=60).json()
    answer = reference["paths"]["/v1/responses"]["post"]["responses"]["200"]["content"]
    assert answer["application/json"]["schema"]["$ref"].endswith("/ResponseObject")


def test_fields_that_promise_nothing(server: RunningServer) -> None:
    """Those of Codex and of OpenAI's own clients, and fields of tomorrow."""
    hints = {
        "client_metadata": {"originator": "codex"},
        "include": ["reasoning.encrypted_content"],
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "prompt_cache_key": "a",
        "prompt_cache_retention": "24h",
        "safety_identifier": "a",
        "service_tier": "auto",
        "store": True,
        "stream_options": {"include_obfuscation": False},
        "truncation": "auto",
        "user": "a",
        "of_tomorrow": True,
    }
    answer = server.post("/v1/responses", json={"input": "Hello!", "max_output_tokens": 3} | hints)
    assert answer.status_code == 200
    assert answer.json()["store"] is False
