"""The values in a call, and schemas that cannot be honoured."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from chatglm_server.chat import Message, Tool, ToolCall
from chatglm_server.decoding.constraints.triggered import TriggeredGrammar
from chatglm_server.engine.call_constraints import CallConstraints
from chatglm_server.errors import InvalidRequest
from chatglm_server.formats.base import Prompt, Special
from chatglm_server.formats.call_grammar import CallsAfterText
from chatglm_server.model_files.tokenizer import encode_prompt
from tests.call_dialects import PROMPT, Dialect, compiled
from tests.random_schemas import random_object


@pytest.mark.parametrize(
    "wrong", [{"type": "array", "uniqueItems": True}, {"type": "string", "pattern": "(?=a)"}, {"$ref": "#/nowhere"}]
)
def test_a_schema_without_a_grammar_costs_its_values_only(dialect: Dialect, wrong: dict[str, Any]) -> None:
    bad = Tool({"name": "bad", "parameters": {"type": "object", "properties": {"x": wrong}, "required": ["x"]}})
    good = Tool({"name": "good", "parameters": random_object(random.Random(1), ["a"])})
    tokens = dialect.noise(dialect.constraint([bad, good]), 1, most=3000)
    ((name, arguments),) = dialect.calls(tokens, [bad, good])
    assert name in ("bad", "good")
    assert list(arguments) == ["x"] if name == "bad" else True
    with pytest.raises(InvalidRequest) as error:
        dialect.constraint([good, bad], strict=True)
    assert error.value.param == "tools[1].function.parameters"


@pytest.mark.parametrize("inner", [5, None, [], "x", {"type": "int"}])
def test_what_is_no_schema_is_refused_in_an_object_too(inner: Any) -> None:
    argument = {"type": "object", "properties": {"a": {"type": "integer"}, "b": inner}, "required": ["b"]}
    tool = Tool({"name": "f", "parameters": {"type": "object", "properties": {"x": argument}}})
    with pytest.raises(InvalidRequest, match="cannot be honoured"):
        Dialect("glm4").constraint([tool], strict=True)


def test_objects_have_their_members_in_any_order(dialect: Dialect) -> None:
    """Also those in arrays and in other objects."""
    inner = {"type": "object", "properties": {name: {"type": "integer"} for name in "abc"}, "required": ["a", "c"]}
    value = {"type": "object", "properties": {"x": inner, "y": {"type": "array", "items": inner}}}
    tool = Tool({"name": "f", "parameters": {"type": "object", "properties": {"value": value}, "required": ["value"]}})
    held = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=True).held([tool], {}, PROMPT)
    assert held is not None
    for argument, valid in (
        ({"y": [{"c": 1, "a": 2}, {"b": 3, "c": 4, "a": 5}], "x": {"c": 6, "b": 7, "a": 8}}, True),
        ({"y": []}, True),
        ({"x": {"c": 6, "b": 7}}, False),
        ({"x": {"c": 6, "a": 7, "d": 8}}, False),
    ):
        call = ToolCall("1", "f", {"value": argument})
        pieces = dialect.format.render([Message("assistant", "", tool_calls=(call,))]).pieces[:-1]
        tokens = encode_prompt(dialect.tokenizer, Prompt(pieces[pieces.index(Special("<|assistant|>")) + 1 :]))
        constraint = TriggeredGrammar(held.trigger)
        if valid:
            constraint.accept(tokens)
        else:
            with pytest.raises(RuntimeError):
                constraint.accept(tokens)


@pytest.mark.parametrize(
    "text", [r"a\/b", r"\u00e9", r"\ud83d\ude00", r"\"\\\b\f\n\r\t", "é天", "\ud83d", "\t", "\\x41"]
)
def test_json_strings_have_every_escape(text: str) -> None:
    """Of those that json reads, and that are text."""
    dialect = Dialect("glm4")
    tool = Tool({"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}})
    held = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=False).held([tool], {}, PROMPT)
    assert held is not None
    try:
        json.loads(f'"{text}"').encode()
        valid = True
    except ValueError:
        valid = False
    written = f'f\n{{"x": "{text}"}}'.encode("utf-8", "surrogatepass")
    assert compiled(dialect, held).constraint().begin(written) == valid


@pytest.mark.parametrize("number", ["1e999", "1" * 400 + ".5", "1" * 5000])
@pytest.mark.parametrize("schema", [{"type": "number"}, {}, {"type": "object"}, {"type": "array"}])
def test_a_strict_call_has_no_number_that_its_parser_drops(
    dialect: Dialect, number: str, schema: dict[str, Any]
) -> None:
    """In text between tags such a number is a string, which a schema for numbers does not have."""
    value = {"object": f'{{"k":{number}}}', "array": f"[{number}]"}.get(str(schema.get("type")), number)
    parameters = {"type": "object", "properties": {"x": schema}, "required": ["x"], "additionalProperties": False}
    tools = [Tool({"name": "f", "parameters": parameters})]
    calls = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=True)
    held = calls.held(tools, {"f": 0}, PROMPT)
    assert held is not None
    grammar = compiled(dialect, held)
    if not isinstance(held.beginning, CallsAfterText):
        return
    text = f"f{held.beginning.between}" + ('{"x": ' if dialect.format.name == "glm4" else "(x=")
    assert grammar.constraint().begin(text.encode())
    assert not grammar.constraint().begin(f"{text}{value}".encode())
