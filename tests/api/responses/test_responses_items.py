"""What the items and tools of the Responses API mean: the nouns that a body becomes."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatglm_server.api.responses.bodies import ReadRequest, ResponsesBody
from chatglm_server.api.responses.custom_input import InputReader, custom_input
from chatglm_server.api.sealed_thoughts import sealed
from chatglm_server.chat import JsonObjectFormat, JsonSchemaFormat, Message, TextFormat, ToolCall, ToolChoice
from chatglm_server.engine.capabilities import Capability
from chatglm_server.errors import InvalidRequest
from chatglm_server.json_text import join_surrogates

WEATHER = {"type": "function", "name": "weather", "description": "The weather", "strict": False}
SPAWN = {"type": "function", "name": "spawn", "parameters": {"type": "object", "properties": {}}, "strict": True}
AGENTS = {"type": "namespace", "name": "agents", "description": "Agents", "tools": [SPAWN]}
PATCH = {
    "type": "custom",
    "name": "patch",
    "description": "Edits files",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "x"'},
}
SERVICE = {"type": "web_search"}


def read(body: dict[str, Any], *capabilities: Capability) -> ReadRequest:
    return ReadRequest(ResponsesBody.model_validate({"input": "Hello!"} | body), frozenset(capabilities))


def messages(*items: Any) -> tuple[Message, ...]:
    return read({"input": list(items)}).request.messages


def said(role: str, content: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content}


def call(id_: str, **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "id": "fc_1", "call_id": id_, "name": "weather", "arguments": "{}"} | more


def test_a_text_and_instructions() -> None:
    assert read({"instructions": "Be brief."}).request.messages == (
        Message("system", "Be brief."),
        Message("user", "Hello!"),
    )


def test_messages_keep_their_order_and_place() -> None:
    """Codex sends two developer messages and two user messages."""
    first, second, third, fourth = messages(
        said("developer", [{"type": "input_text", "text": "You are "}, {"type": "input_text", "text": "an agent."}]),
        {"role": "system", "content": "Skills"},
        said("user", [{"type": "input_text", "text": "<environment>"}]),
        {"role": "user", "content": "Go"},
    )
    assert (first.role, first.content, second.role) == ("system", "You are an agent.", "system")
    assert (third.content, fourth.content) == ("<environment>", "Go")


def test_items_in_a_row_are_one_turn() -> None:
    thought = {"type": "reasoning", "id": "rs_1", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]}
    text = said("assistant", [{"type": "output_text", "text": "I look.", "annotations": []}])
    result = {"type": "function_call_output", "call_id": "b", "output": "rain"}
    first, answer, *results, next_answer = messages(
        said("user", "Weather?"), thought, text, call("a"), call("b"), result, result | {"call_id": "a"}, call("c")
    )
    assert first.role == "user"
    assert (answer.reasoning, answer.content, [one.id for one in answer.tool_calls]) == ("Hm.", "I look.", ["a", "b"])
    assert [(one.role, one.tool_call_id) for one in results] == [("tool", "b"), ("tool", "a")]
    assert [one.id for one in next_answer.tool_calls] == ["c"]


def test_two_answers_in_a_row_stay_two() -> None:
    assert [one.content for one in messages(said("assistant", "One."), said("assistant", "Two."))] == ["One.", "Two."]


@pytest.mark.parametrize(
    "item",
    [
        {"summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}]},
        {"summary": [{"type": "summary_text", "text": "Hm."}]},
        {"summary": [], "encrypted_content": sealed("Hm.")},
        {"summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "another server's"},
    ],
    ids=["text", "summary", "sealed", "foreign"],
)
def test_thoughts_come_back(item: dict[str, Any]) -> None:
    _, answer = messages(said("user", "Go"), {"type": "reasoning", "id": "rs_1"} | item)
    assert answer.reasoning == "Hm."


def test_what_cannot_be_read_is_skipped() -> None:
    """Thoughts that only another server can read, and calls of services."""
    foreign = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAAAB"}
    assert messages(foreign, {"type": "web_search_call", "id": "ws_1"}, said("user", "Go")) == (Message("user", "Go"),)


def test_results_in_parts() -> None:
    """An image in a tool's result is named: a refusal would end an agent's session."""
    output = [{"type": "input_text", "text": "Here: "}, {"type": "input_image", "image_url": "data:image/png;base64,"}]
    *_, result = messages(call("a"), {"type": "function_call_output", "call_id": "a", "output": output})
    assert result.content == "Here: [image]"


def test_a_custom_call_is_a_call_with_one_text() -> None:
    sent = {"type": "custom_tool_call", "call_id": "a", "name": "patch", "input": "x"}
    answer, result = messages(sent, {"type": "custom_tool_call_output", "call_id": "a", "output": "done"})
    assert answer.tool_calls == (ToolCall("a", "patch", {"input": "x"}),)
    assert (result.tool_call_id, result.content) == ("a", "done")


@given(text=st.text(), ascii=st.booleans(), cuts=st.lists(st.integers(0, 60)))
@example(text='a"\\😀\n\x00é', ascii=True, cuts=list(range(60)))
def test_an_input_is_read_while_it_arrives(text: str, ascii: bool, cuts: list[int]) -> None:
    sent = json.dumps({"input": text}, ensure_ascii=ascii)
    places = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    reader = InputReader()
    pieces = [reader.add(sent[start:end]) for start, end in pairwise(places)]
    assert "".join(pieces) == custom_input(sent) == join_surrogates(text)


@pytest.mark.parametrize("sent", ['{"other": "a", "input": "b"}', '{"input": ["a"]}', "{}", '{"input": 1}', "x" * 99])
def test_what_is_no_input_is_not_read_early(sent: str) -> None:
    reader = InputReader()
    assert not any(reader.add(char) for char in sent)


def test_a_call_in_a_namespace_has_both_names() -> None:
    (answer,) = messages(call("a", name="spawn", namespace="agents"))
    assert answer.tool_calls[0].name == "agents__spawn"


def test_tools() -> None:
    request = read({"tools": [WEATHER, SERVICE, AGENTS, PATCH]}).request
    weather, spawn, patch = (tool.function for tool in request.tools)
    assert weather == {"name": "weather", "description": "The weather"}
    assert spawn == {"name": "agents__spawn", "parameters": SPAWN["parameters"], "strict": True}
    assert patch["name"] == "patch"
    assert patch["description"] == 'Edits files\n\nThe input must fit this grammar (lark):\nstart: "x"'
    assert patch["parameters"]["required"] == ["input"]


@pytest.mark.parametrize(
    ("sent", "choice"),
    [
        (None, ToolChoice()),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "weather"}, ToolChoice("named", "weather")),
        ({"type": "custom", "name": "patch"}, ToolChoice("named", "patch")),
        ({"type": "function", "name": "spawn", "namespace": "agents"}, ToolChoice("named", "agents__spawn")),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "weather"}, SERVICE]},
            ToolChoice("required", allowed=("weather",)),
        ),
    ],
    ids=str,
)
def test_tool_choice(sent: Any, choice: ToolChoice) -> None:
    assert read({"tools": [WEATHER, AGENTS, PATCH], "tool_choice": sent}).request.tool_choice == choice


@pytest.mark.parametrize(
    ("sent", "form"),
    [
        ({}, None),
        ({"format": {"type": "text"}, "verbosity": "low"}, TextFormat()),
        ({"format": {"type": "json_object"}}, JsonObjectFormat()),
        (
            {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
            JsonSchemaFormat({"type": "object"}, "n", None, True),
        ),
    ],
    ids=str,
)
def test_text_format(sent: dict[str, Any], form: object) -> None:
    assert read({"text": sent}).request.response_format == form


@pytest.mark.parametrize(
    ("effort", "thinks"), [(None, None), ("none", False), ("minimal", False), ("high", True), ("of tomorrow", None)]
)
def test_reasoning_effort(effort: str | None, thinks: bool | None) -> None:
    assert read({"reasoning": {"effort": effort}}).request.thinking.wanted is thinks
    limited = read({"reasoning": {"effort": effort, "max_tokens": 5}})
    assert (limited.request.thinking.budget, limited.field_of("thinking.budget")) == (5, "reasoning.max_tokens")


def test_another_server_gets_images() -> None:
    content = [{"type": "input_text", "text": "What?"}, {"type": "input_image", "image_url": "data:image/png;base64,"}]
    body = {"input": [said("user", content)]}
    (message,) = read(body, Capability.FOREIGN_CONVERSATION).request.messages
    assert message.parts[1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,", "detail": "auto"},
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"input": [{}]}, "input[0]"),
        ({"input": ["Hello!"]}, "input[0]"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [said("user", "a"), {"type": "function_call", "name": "f"}]}, "input[1].call_id"),
        ({"input": [said("user", "a"), call("a", name="a b")]}, "input[1].name"),
        ({"input": [said("user", [{"type": "input_image", "image_url": "x"}])]}, "input[0].content[0]"),
        ({"input": [said("user", [{"type": "input_text", "text": 5}])]}, "input[0].content"),
        ({"input": [said("wizard", "a")]}, "input[0]"),
        ({"instructions": "a", "input": [said("user", 5)]}, "input[0].content"),
        ({"tools": {}}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [WEATHER, {"type": "function"}]}, "tools[1].name"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1]"),
        ({"tools": [AGENTS | {"tools": [SPAWN, {"type": "function", "name": ""}]}]}, "tools[0].tools[1].name"),
        ({"tools": [AGENTS | {"name": "a" * 127}]}, "tools[0].tools[0]"),
        ({"tools": [SPAWN | {"name": f"f{number}"} for number in range(200)]}, "tools"),
        ({"tool_choice": {"type": "function", "name": "sing"}, "tools": [WEATHER]}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}, "tools": [SERVICE]}, "tool_choice.type"),
        ({"tool_choice": "required", "tools": [SERVICE]}, "tool_choice"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "poem"}}}, "text.format.type"),
        ({"reasoning": {"effort": 5}}, "reasoning.effort"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
    ],
    ids=str,
)
def test_faults_are_named_by_the_clients_field(body: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    assert caught.value.param == field
    assert field in caught.value.message


def test_nouns_go_back_to_fields() -> None:
    asked = read({"tools": [SERVICE, AGENTS], "instructions": "a", "input": [said("user", "b"), said("user", "c")]})
    for noun, field in (
        ("messages", "input"),
        ("messages[0]", "instructions"),
        ("messages[2].content", "input[1].content"),
        ("tools", "tools"),
        ("tools[0].function.parameters", "tools[1].tools[0].parameters"),
        ("sampling.max_tokens", "max_output_tokens"),
        ("sampling.top_p", "top_p"),
        ("thinking.effort", "reasoning.effort"),
        ("response_format.schema", "text.format.schema"),
    ):
        assert asked.field_of(noun) == field
