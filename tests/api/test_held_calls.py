"""Calls that are held to their tools' schemas, over HTTP: by both demo models, and by one with random weights."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field, SecretStr

from tests.random_models import write_random_model
from tests.random_schemas import random_tools
from tests.serving import RunningServer, user


class City(BaseModel):
    """A city."""

    name: str
    size: int = Field(ge=1, le=99)


@pytest.fixture(scope="module")
def random_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    path = write_random_model(tmp_path_factory.mktemp("model") / "random.bin", max_length=32768)
    with RunningServer("--model", str(path), "--tool-grammar", "strict") as running:
        yield running


@pytest.fixture(params=["server", "glm4_server", "random_server"])
def any_server(request: pytest.FixtureRequest) -> RunningServer:
    server: RunningServer = request.getfixturevalue(request.param)
    return server


def test_calls_of_random_tools_are_valid(any_server: RunningServer) -> None:
    """Also where the model would write anything. A call that is cut is none."""
    ended = 0
    for seed in range(8):
        tools = [{"type": "function", "function": {**tool.function, "strict": True}} for tool in random_tools(seed)[:3]]
        body = {"messages": user("Call something."), "tools": tools, "tool_choice": "required", "seed": seed}
        body |= {"temperature": 1.5, "max_tokens": 300, "parallel_tool_calls": False}
        response = any_server.post(json=body)
        assert response.status_code == 200, response.text
        choice = response.json()["choices"][0]
        if choice["finish_reason"] == "length":
            continue
        ended += 1
        assert choice["finish_reason"] == "tool_calls"
        (call,) = choice["message"]["tool_calls"]
        schema = next(tool for tool in random_tools(seed) if tool.name == call["function"]["name"]).function
        jsonschema.validate(json.loads(call["function"]["arguments"]), schema["parameters"])
    assert ended >= 3


def test_a_binding_schema_without_a_grammar_is_refused(server: RunningServer) -> None:
    function: dict[str, Any] = {"name": "f", "parameters": {"type": "object", "properties": {"a": {"not": {}}}}}
    body = {"messages": user("Hello"), "max_tokens": 5, "tools": [{"type": "function", "function": function}]}
    assert server.post(json=body).status_code == 200
    function["strict"] = True
    error = server.post(json=body).json()["error"]
    assert error["param"] == "tools[0].function.parameters"
    assert "#/properties/a" in error["message"]
    assert "not" in error["message"]


def test_a_call_or_an_answer_in_the_form(server: RunningServer) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    tools = [{"type": "function", "function": tool.function} for tool in random_tools(1)]
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    for seed in range(4):
        body = {"messages": user("Hello"), "tools": tools, "response_format": form, "seed": seed, "max_tokens": 300}
        choice = server.post(json=body).json()["choices"][0]
        if choice["finish_reason"] == "stop":
            jsonschema.validate(json.loads(choice["message"]["content"]), schema)
        elif choice["finish_reason"] == "tool_calls":
            assert not choice["message"]["content"]


def test_the_same_seed_gives_the_same_call_with_log_probabilities(glm4_server: RunningServer) -> None:
    tools = [{"type": "function", "function": tool.function} for tool in random_tools(4)]
    body: dict[str, Any] = {"messages": user("Go"), "tools": tools, "tool_choice": "required", "max_tokens": 100}
    for seed in random.Random(1).sample(range(1000), 3):
        plain = glm4_server.post(json=body | {"seed": seed}).json()["choices"][0]["message"]
        told = glm4_server.post(json=body | {"seed": seed, "logprobs": True}).json()["choices"][0]["message"]
        for message in (plain, told):
            for call in message.get("tool_calls") or []:
                del call["id"]
        assert plain == told


def test_langchain_gets_an_object_by_a_call(glm4_server: RunningServer) -> None:
    chat = ChatOpenAI(base_url=f"{glm4_server.url}/v1", api_key=SecretStr("none"), model="default-model", seed=1)
    answer = chat.with_structured_output(City, method="function_calling").invoke("Call the tool for the city of Paris.")
    assert isinstance(answer, City)
