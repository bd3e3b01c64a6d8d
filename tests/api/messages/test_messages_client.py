"""Anthropic's client in front of the demo model: chats, calls, forms, lengths, models, keys and errors."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import anthropic
import httpx
import pytest
from anthropic import Anthropic, AsyncAnthropic

from chatglm_server.api.anthropic.schemas import MessageObject, TokenCount
from chatglm_server.settings import Settings
from tests.api.messages.test_messages_stream import QUESTION, TOOL
from tests.conftest import ADD
from tests.serving import RunningServer, user
from tests.serving_here import serving

ADD_TOOL: Any = {"name": "add", "input_schema": ADD["function"]["parameters"]}
HELLO: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 60, "messages": user("Hello!")}
GREEDY = {"temperature": 0}


@pytest.fixture
def client(server: RunningServer) -> Anthropic:
    return Anthropic(base_url=server.url, api_key="none", max_retries=0)


def test_a_chat_whole_and_streamed(client: Anthropic, server: RunningServer) -> None:
    whole = client.messages.create(**HELLO, extra_body=GREEDY)
    (block,) = whole.content
    assert block.type == "text"
    assert block.text == server.post(json=HELLO | GREEDY | {"model": "demo"}).json()["choices"][0]["message"]["content"]
    assert (whole.role, whole.model, whole.stop_reason) == ("assistant", "claude-haiku-4-5", "end_turn")
    assert "'claude-haiku-4-5' are answered by demo" in server.output
    with client.messages.stream(**HELLO, extra_body=GREEDY) as stream:
        assert "".join(stream.text_stream) == block.text
        again = stream.get_final_message()
    assert again.content[0].to_dict() == block.to_dict()
    for usage in (whole.usage, again.usage):
        assert usage.cache_creation_input_tokens == 0
        assert usage.input_tokens + (usage.cache_read_input_tokens or 0) == 8
    assert again.usage.cache_read_input_tokens == 7  # all but the last token, which is always computed
    assert client.messages.count_tokens(model="claude", messages=HELLO["messages"]).input_tokens == 8


def test_a_tool_loop(client: Anthropic) -> None:
    asked = client.messages.create(**HELLO | {"messages": [QUESTION]}, tools=[TOOL], extra_body=GREEDY)
    (call,) = asked.content
    assert call.type == "tool_use"
    assert (call.name, call.input, asked.stop_reason) == ("get_weather", {"city": "Paris"}, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": '{"temperature": 21, "condition": "sunny"}'}
    history = [QUESTION, {"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
    told = client.messages.create(**HELLO | {"messages": history}, tools=[TOOL], extra_body=GREEDY)
    assert told.stop_reason == "end_turn"
    assert "21" in told.content[0].to_dict()["text"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("choice", "called"),
    [({"type": "any"}, True), ({"type": "tool", "name": "add"}, True), ({"type": "none"}, False)],
)
def test_tool_choice(client: Anthropic, choice: Any, called: bool) -> None:
    messages: Any = user("What is 3 plus 4?")
    answer = client.messages.create(
        **HELLO | {"messages": messages}, tools=[TOOL, ADD_TOOL], tool_choice=choice, extra_body=GREEDY
    )
    calls = [block.input for block in answer.content if block.type == "tool_use"]
    assert calls == ([{"a": 3, "b": 4}] if called else [])


def test_async_clients_get_what_they_get_alone(server: RunningServer) -> None:
    async def compare() -> None:
        async with AsyncAnthropic(base_url=server.url, api_key="none", max_retries=0) as client:

            async def ask(question: str) -> Any:
                sent: Any = HELLO | {"messages": user(question)}
                return (await client.messages.create(**sent, extra_body=GREEDY)).to_dict()["content"]

            questions = ["Hello!", "Who are you?", "你好"]
            alone = [await ask(question) for question in questions]
            assert alone == list(await asyncio.gather(*map(ask, questions)))

    asyncio.run(compare())


def test_a_tools_schema_never_fails_the_request(client: Anthropic) -> None:
    """Keywords that grammars lack are in two of Claude Code's tools; a schema may also be nonsense."""
    for more in ({"propertyNames": {"pattern": "^a"}}, {"properties": {"a": {"type": "poem"}}}, {"$ref": "#/nowhere"}):
        odd: Any = TOOL | {"input_schema": TOOL["input_schema"] | more}
        answer = client.messages.create(**HELLO, tools=[odd, ADD_TOOL], extra_body=GREEDY | {"max_tokens": 3})
        assert answer.stop_reason == "max_tokens"


def test_an_answer_in_a_form(client: Anthropic) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}, "days": {"type": "integer", "maximum": 9}},
        "required": ["city", "days"],
        "additionalProperties": False,
    }
    output: Any = {"format": {"type": "json_schema", "schema": schema}}
    answer = client.messages.create(**HELLO, output_config=output, extra_body=GREEDY)
    (block,) = answer.content
    assert block.type == "text"
    assert json.loads(block.text).keys() == {"city", "days"}


def test_models_in_the_words_of_the_client_that_asks(client: Anthropic, server: RunningServer) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.type, model.lifecycle, model.max_input_tokens) == ("demo", "model", "active", 4096)
    assert model.created_at.tzinfo is not None
    assert client.models.retrieve("demo") == model
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("claude-9")
    assert httpx.get(f"{server.url}/v1/models").json()["object"] == "list"
    page = httpx.get(f"{server.url}/v1/models", headers={"anthropic-version": "2023-06-01"}).json()
    assert page.keys() == {"data", "has_more", "first_id", "last_id"}
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "demo", "demo")
    (entry,) = page["data"]
    assert (entry["display_name"], entry["max_tokens"]) == ("demo", 4096)


def test_the_first_call_of_claude_code(server: RunningServer) -> None:
    answer = httpx.head(f"{server.url}/")
    assert (answer.status_code, answer.content) == (200, b"")


def test_answers_fit_the_reference(server: RunningServer) -> None:
    for body in (HELLO, HELLO | {"tools": [TOOL], "tool_choice": {"type": "any"}}):
        MessageObject.model_validate_json(server.post("/v1/messages", json=body).content, strict=True)
    counted = server.post("/v1/messages/count_tokens", json={"messages": HELLO["messages"]})
    TokenCount.model_validate_json(counted.content, strict=True)
    reference = httpx.get(f"{server.url}/openapi.json").json()
    answer = reference["paths"]["/v1/messages"]["post"]["responses"]
    assert answer["200"]["content"]["application/json"]["schema"]["$ref"].endswith("/MessageObject")
    assert answer["400"]["content"]["application/json"]["schema"]["$ref"].endswith("/MessagesErrorBody")


def test_a_prompt_that_is_too_long_is_said_in_the_words_that_claude_code_parses(server: RunningServer) -> None:
    body = HELLO | {"messages": user("word " * 5000)}
    assert server.post("/v1/messages/count_tokens", json=body).json() == {"input_tokens": 10006}
    for streamed in (False, True):
        refused = server.post("/v1/messages", json=body | {"stream": streamed})
        error = refused.json()["error"]
        assert (refused.status_code, error["type"]) == (400, "invalid_request_error")
        assert error["message"] == "prompt is too long: 10006 tokens > 4096 maximum"


def test_an_answer_goes_on_from_the_assistants_last_message(server: RunningServer) -> None:
    body = HELLO | GREEDY
    (block,) = server.post("/v1/messages", json=body).json()["content"]
    first, blank, rest = block["text"].partition(" ")
    begun = {"messages": [*HELLO["messages"], {"role": "assistant", "content": first}]}
    (continued,) = server.post("/v1/messages", json=body | begun).json()["content"]
    assert continued["text"] == blank + rest


def test_an_answer_takes_what_the_prompt_leaves(server: RunningServer) -> None:
    """Claude Code asks for 32,000 tokens, whatever the context."""
    answer = server.post("/v1/messages", json=HELLO | GREEDY | {"max_tokens": 32000})
    assert (answer.status_code, answer.json()["stop_reason"]) == (200, "end_turn")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": []}, "messages: "),
        ({"messages": "x"}, "messages: "),
        ({"messages": [{"role": "user"}]}, "messages[0].content: "),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text: "),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type: "),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            "messages[0].content[0]: this model reads text only",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "a b"}]}]},
            "messages[0].content[0].name: ",
        ),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "a"}]}]},
            "messages: the last one has a tool_use without its tool_result",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * 20_000}]},
            "messages: at most 16384",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [{}] * 20_000}]}]},
            "messages: at most 16384",
        ),
        ({"system": [{"type": "text", "text": ""}] * 20_000}, "system: "),
        ({"system": 5}, "system: "),
        ({"system": [{"type": "image"}]}, "system[0].type: "),
        ({"max_tokens": 0}, "max_tokens: "),
        ({"max_tokens": "x"}, "max_tokens: "),
        ({"temperature": 3}, "temperature: "),
        ({"stop_sequences": [""]}, "stop_sequences: "),
        ({"tools": {}}, "tools: "),
        ({"tools": [{"name": "f"}]}, "tools[0].input_schema: "),
        ({"tools": [{"name": "a\nb", "input_schema": {}}]}, "tools[0].name: "),
        ({"tools": [TOOL, TOOL]}, "tools[1].name: two tools have the name"),
        ({"tools": [{"name": f"f{n}", "input_schema": {}} for n in range(200)]}, "tools: "),
        ({"tool_choice": {"type": "any"}}, "tool_choice "),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type: "),
        (
            {"tools": [{"type": "web_search_20250305", "name": "web"}], "tool_choice": {"type": "tool", "name": "web"}},
            "tool_choice names 'web'",
        ),
        ({"thinking": {"type": "sometimes"}}, "thinking.type: "),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "wrong"}}}},
            "output_config.format.schema: ",
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_bad_requests(server: RunningServer, change: dict[str, Any], message: str) -> None:
    for streamed in (False, True):  # before the headers, so that there is a status
        refused = server.post("/v1/messages", json=HELLO | {"stream": streamed} | change)
        assert refused.status_code == 400, refused.text
        body = refused.json()
        assert body.keys() == {"type", "error", "request_id"}
        assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
        assert body["error"]["message"].startswith(message)
        assert refused.headers["request-id"] == body["request_id"]


def test_other_errors(server: RunningServer) -> None:
    assert httpx.get(f"{server.url}/v1/messages/batches").json()["error"]["type"] == "not_found_error"
    assert httpx.get(f"{server.url}/v1/messages").status_code == 405
    form = httpx.post(f"{server.url}/v1/messages", data={"messages": "x"})
    assert (form.status_code, form.json()["error"]["type"]) == (415, "invalid_request_error")
    big = httpx.post(f"{server.url}/v1/messages", content=b" " * 9_000_000)
    assert (big.status_code, big.json()["error"]["type"]) == (413, "request_too_large")


def test_keys_and_models_of_other_makers() -> None:
    settings = Settings.model_validate({"api_key": "sesame", "model": "demo", "any_model": False})
    with serving(settings) as (url, _):
        with pytest.raises(anthropic.AuthenticationError) as refused:
            Anthropic(base_url=url, api_key="wrong", max_retries=0).messages.create(**HELLO)
        assert refused.value.type == "authentication_error"
        by_key = Anthropic(base_url=url, api_key="sesame", max_retries=0)
        by_bearer = Anthropic(base_url=url, auth_token="sesame", max_retries=0)
        for client in (by_key, by_bearer):
            with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
                client.messages.create(**HELLO)
