"""Custom tools over HTTP: openai-python gets text that fits the grammar, from a model that writes anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from lark import Lark
from openai import OpenAI
from openai.types.responses import ResponseInputParam

from chatglm_server.settings import Settings
from tests.random_expert_gguf import FLASH
from tests.random_gguf import write_random_gguf
from tests.serving_here import serving

LINES = 'start: "begin" LF line~1..3 "end"\nline: ("+" | "-") /[^\\n"]{1,8}/ LF\n%import common.LF\n'
CODE = r"[A-Z]{2,4}-[0-9]{1,4}(/[^x\n]{1,3})?"


def custom(definition: str, syntax: str = "lark", name: str = "edit") -> dict[str, Any]:
    grammar = {"type": "grammar", "syntax": syntax, "definition": definition}
    return {"type": "custom", "name": name, "description": "Edits", "format": grammar}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("models") / "model.gguf"
    write_random_gguf(path, replace(FLASH, context=4096), vocabulary="glm47")
    with serving(Settings(_env_file=None, model=str(path), threads=1)) as (url, _):
        yield url


def test_inputs_fit_their_grammars(url: str) -> None:
    client = OpenAI(base_url=f"{url}/v1", api_key="none")
    tools: list[Any] = [custom(LINES), custom(CODE, "regex", "find"), {"type": "custom", "name": "say"}]
    history: ResponseInputParam = [{"role": "user", "content": "Go."}]
    judges: dict[str, Any] = {"edit": Lark(LINES).parse, "find": re.compile(CODE).fullmatch}
    for name, judge in judges.items():
        with client.responses.stream(
            model="glm",
            input=history,
            tools=tools,
            tool_choice={"type": "custom", "name": name},
            parallel_tool_calls=False,
            temperature=1.5,
        ) as stream:
            events = list(stream)
        deltas = [event.delta for event in events if event.type == "response.custom_tool_call_input.delta"]
        (done,) = (event for event in events if event.type == "response.custom_tool_call_input.done")
        (call,) = stream.get_final_response().output
        assert call.type == "custom_tool_call"
        assert call.name == name
        assert call.input == done.input == "".join(deltas)
        assert len(deltas) > 3, "it is streamed while the model writes it"
        assert judge(call.input), call.input
        history += [call.to_dict(), {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("definition", "syntax", "message"),
    [
        ('start: "a" <tool_call>', "lark", "line 1: '<tool_call>' is not read here"),
        ('start: "a"\n}\nx: %lark {\nstart: "b"', "lark", "line 2: '}'"),
        ('start: "a"\n  | word', "lark", 'unknown name: "word"'),
        ('other: "a"', "lark", "no start rule found"),
        ("start: start", "lark", "no text fits it"),
        ("start: /(?=a)b/", "lark", "look-around"),
        ("start: /[/", "lark", "regex parse error"),
        ("start: " + "(" * 20000 + '"a"' + ")" * 20000, "lark", "nested"),
        ("x" * 70000, "lark", "70000 characters"),
        ("start: x\n" + "x: y\n" * 1001, "lark", "1000 rules"),
        ('start: "\\ud800"', "lark", "escape"),
        ("start: A0\n" + "".join(f"A{n}: A{n + 1} A{n + 1}\n" for n in range(60)) + 'A60: "x"', "lark", "too big"),
        ("", "lark", "no start rule found"),
        ("(a", "regex", "regex parse error"),
        ("a\\", "regex", "lexer error"),
        ("a(?=b)", "regex", "look-around"),
        (None, "lark", "a grammar needs it"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_grammars_that_no_text_is_held_to(url: str, definition: Any, syntax: str, message: str) -> None:
    """One line, before the first event, which names the tool and its field."""
    tools = [{"type": "custom", "name": "fine"}, custom(definition, syntax)]
    body = {"input": "Go.", "tools": tools, "stream": True}
    headers = {"Content-Type": "application/json"}
    answer = httpx.post(f"{url}/v1/responses", content=json.dumps(body), headers=headers, timeout=60)
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["param"] == "tools[1].format.definition"
    assert message in error["message"]
    assert "\n" not in error["message"]


def test_a_regular_expression_holds_no_tags(url: str) -> None:
    tools = [custom("a/ <tool_call> /b", "regex")]
    body = {"input": "Go.", "tools": tools, "tool_choice": "required", "parallel_tool_calls": False}
    (call,) = httpx.post(f"{url}/v1/responses", json=body, timeout=60).json()["output"]
    assert call["input"] == "a/ <tool_call> /b"
