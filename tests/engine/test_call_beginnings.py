"""Where a call begins in an answer, and what is text."""

from __future__ import annotations

import pytest

from chatglm_server.chat import Tool
from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.triggered import TriggeredGrammar
from chatglm_server.engine.call_constraints import CallConstraints
from chatglm_server.formats.call_grammar import CallsAfterText
from tests.call_dialects import PROMPT, Dialect


@pytest.mark.parametrize("name", ["glm45", "glm47"])
def test_a_name_between_tags_ends_as_its_tool_allows(name: str) -> None:
    """With arguments, without, or either; also a name that another one begins with."""
    dialect = Dialect(name)
    integer = {"a": {"type": "integer"}}
    tools = [
        Tool({"name": "get", "parameters": {"type": "object", "properties": integer, "required": ["a"]}}),
        Tool({"name": "get_all", "parameters": {"type": "object", "properties": {}, "additionalProperties": False}}),
        Tool({"name": "get_some", "parameters": {"type": "object", "properties": integer}}),
        Tool({"name": "get_any"}),
    ]
    special = dialect.tokenizer.specials
    held = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=False).held(tools, {}, PROMPT)
    assert held is not None
    for text, ends in (
        ("get", {"<arg_key>"}),
        ("get_all\n", {"</tool_call>"}),
        ("get_some", {"<arg_key>", "</tool_call>"}),
        ("get_any\n", {"<arg_key>", "</tool_call>"}),
        ("get_", set()),
    ):
        constraint = TriggeredGrammar(held.trigger, once=True)
        constraint.accept([special["<tool_call>"], *dialect.cut(text)])
        mask = TokenMask(dialect.size)
        constraint.fill(mask)
        assert {tag for tag, token in special.items() if token in mask} == ends
        if "</tool_call>" in ends:
            constraint.accept([special["</tool_call>"]])
            mask = TokenMask(dialect.size)
            constraint.fill(mask)
            assert set(mask) == dialect.ends, "nothing follows the only call"
            constraint.rollback(1)
        if "<arg_key>" in ends:
            constraint.accept([special["<arg_key>"]])
            assert not constraint.free
            constraint.accept(dialect.cut("a"))
            constraint.rollback(len(dialect.cut("a")) + 1)
            mask = TokenMask(dialect.size)
            constraint.fill(mask)
            assert {tag for tag, token in special.items() if token in mask} == ends


def test_text_is_free_until_a_call_begins(dialect: Dialect) -> None:
    """Also text that holds a tool's name, or the letters of a tag."""
    tools = [Tool({"name": "get", "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}}})]
    calls = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=False)
    held = calls.held(tools, {"get": 0}, PROMPT)
    assert held is not None
    constraint = TriggeredGrammar(held.trigger)
    for token in dialect.tokenizer.encode_text("\nget is a name.\nget\n\n<tool_call>get (x) {'a': 1}\nget {"):
        assert constraint.free
        constraint.accept([token])
    assert constraint.free


def test_a_strict_call_is_held_from_before_its_bracket(dialect: Dialect) -> None:
    """Other text may follow a line with a tool's name; a token of more than the bracket cannot pass by."""
    parameters = {"type": "object", "properties": {"x": {"const": 1}}, "required": ["x"], "additionalProperties": False}
    tools = [Tool({"name": "get", "parameters": parameters})]
    held = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=True).held(tools, {}, PROMPT)
    assert held is not None
    if not isinstance(held.beginning, CallsAfterText):
        return
    for head, free in ((f"get{held.beginning.between}", False), (f"say get{held.beginning.between}", True)):
        constraint = TriggeredGrammar(held.trigger)
        constraint.accept(dialect.cut(head))
        assert constraint.free is free
        if free:
            continue
        mask = TokenMask(dialect.size)
        constraint.fill(mask)
        allowed = {dialect.tokenizer.token_bytes(token) for token in mask}
        assert {b"a", b" ", b"\n"} <= allowed
        assert held.beginning.opening.encode() in allowed
        assert held.beginning.opening.encode() + b"}" not in allowed
        constraint.accept(dialect.cut("a"))
        assert constraint.free
        constraint.rollback(1)
        assert not constraint.free


@pytest.mark.parametrize(
    "text",
    ["get {'x': 1}", "`get`\n{\"x\": 1}", '{"name": "get", "arguments": {"x": 1}}', "no\n```python\ntool_call(x=1)",
     "<tool_call>get<arg_key>x</arg_key><arg_value>1</arg_value></tool_call>"],
)  # fmt: skip
def test_a_strict_call_is_written_as_the_model_was_trained_to(dialect: Dialect, text: str) -> None:
    """Some dialect reads each of these as a call, and none where a schema binds: nothing has held it."""
    tools = [Tool({"name": "get", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}}}})]
    assert dialect.calls(dialect.tokenizer.encode_text("\n" + text), tools, exact=True) == []
