"""A last message of the assistant is the beginning of the answer: the client gets only what follows."""

from __future__ import annotations

import json
import re
from typing import Any, cast

import openai
import pytest

from tests.serving import RunningServer, user

QUESTION = user("What can you do?")


@pytest.fixture(params=["server", "glm4_server"])
def any_server(request: pytest.FixtureRequest) -> RunningServer:
    server: RunningServer = request.getfixturevalue(request.param)
    return server


def answered(server: RunningServer, messages: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    response = server.post(json={"messages": messages, "temperature": 0} | fields)
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


def content(body: dict[str, Any]) -> str:
    return str(body["choices"][0]["message"]["content"])


def beginning(text: str, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text, **fields}


def test_an_answer_goes_on_where_it_was_cut(any_server: RunningServer) -> None:
    whole = answered(any_server, QUESTION)
    text = content(whole)
    cuts = [match.start() for match in re.finditer(" ", text)]
    assert len(cuts) > 2
    for cut in cuts:
        rest = answered(any_server, [*QUESTION, beginning(text[:cut])])
        assert content(rest) == text[cut:]
        assert rest["usage"]["total_tokens"] == whole["usage"]["total_tokens"]
        assert rest["usage"]["prompt_tokens"] > whole["usage"]["prompt_tokens"]


def test_how_clients_ask_for_it(server: RunningServer) -> None:
    text = content(answered(server, QUESTION))
    first, rest = text[: text.index(" ")], text[text.index(" ") :]
    for fields, message in (
        ({"continue_final_message": True}, beginning(first)),
        ({"continue_final_message": True, "add_generation_prompt": False}, beginning(first)),
        ({"add_generation_prompt": False}, beginning(first)),
        ({}, beginning(first, prefix=True)),
    ):
        assert content(answered(server, [*QUESTION, message], **fields)) == rest
    anew = answered(server, [*QUESTION, beginning(first)], continue_final_message=False)
    assert content(anew) != rest


def test_a_stream_and_its_stop_strings_have_only_what_follows(server: RunningServer) -> None:
    text = content(answered(server, QUESTION))
    first, rest = text[: text.index(" ")], text[text.index(" ") :]
    messages = [*QUESTION, beginning(first)]
    client = openai.OpenAI(base_url=server.url + "/v1", api_key="-")
    chunks = client.chat.completions.create(
        model="demo", messages=cast(Any, messages), temperature=0, stream=True, stop=[first]
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == rest


def test_a_form_holds_from_the_beginning(server: RunningServer) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "form", "schema": schema, "strict": True}}
    begun = '{"a": '
    rest = content(answered(server, [*QUESTION, beginning(begun)], response_format=form))
    assert json.loads(begun + rest) in ({"a": True}, {"a": False})
    refused = server.post(json={"messages": [*QUESTION, beginning("No.")], "response_format": form})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "messages")


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        (QUESTION, {"continue_final_message": True}, "continue_final_message"),
        (QUESTION, {"add_generation_prompt": False}, "add_generation_prompt"),
        ([*QUESTION, beginning(" ")], {"continue_final_message": True}, "continue_final_message"),
        ([*QUESTION, beginning("Well")], {"tool_choice": "required"}, "tool_choice"),
        ([*QUESTION, beginning("look\n```python\ntool_call(at=1)\n```\n")], {}, "messages"),
    ],
)
def test_what_cannot_be_continued(
    server: RunningServer, messages: list[dict[str, Any]], fields: dict[str, Any], param: str
) -> None:
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"properties": {"at": {}}}}}]
    response = server.post(json={"messages": messages, "tools": tools} | fields)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param), error
