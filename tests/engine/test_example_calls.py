"""Examples of calls, whose masks are computed beside the prompt."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from typing import Any

import jsonschema
import pytest

from chatglm_server.chat import Message, Tool
from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.grammars import GrammarError, Grammars
from chatglm_server.decoding.constraints.triggered import TriggeredGrammar
from chatglm_server.engine.call_constraints import CallConstraints, HeldCalls
from chatglm_server.engine.example_calls import example_answer, example_call
from chatglm_server.formats.base import Prompt
from chatglm_server.formats.call_grammar import CallGrammar
from chatglm_server.formats.glm4 import GLM4Format
from tests.call_dialects import PROMPT, Dialect
from tests.random_schemas import random_tools

SCHEMAS: list[dict[str, Any]] = [
    {"type": "string"},
    {"type": ["string", "null"]},
    {"type": "integer", "maximum": 5},
    {"type": "number", "minimum": 400},
    {"type": "boolean"},
    {"type": "null"},
    {"enum": ["b", "a"]},
    {"const": {"x": 1}},
    {"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}]},
    {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "number"}}}, "required": ["a"]},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=str)
def test_an_example_fits_its_schema_and_is_a_whole_call(dialect: Dialect, schema: dict[str, Any]) -> None:
    """So that no mask of it is left out."""
    parameters = {"type": "object", "properties": {"x": schema, "y": schema}, "additionalProperties": False}
    tool = Tool({"name": "get", "parameters": parameters})
    call = example_call(tool)
    jsonschema.validate(call.arguments, parameters | {"required": ["x", "y"]})
    assert _held_tokens(dialect, tool, PROMPT) > 5


def test_an_example_comes_behind_the_thought_before_which_nothing_is_a_call() -> None:
    dialect = Dialect("glm-z1")
    tool = Tool({"name": "get", "parameters": {"type": "object", "properties": {"x": SCHEMAS[0]}}})
    prompt = dialect.format.render([Message("user", "Go on.")], [tool])
    assert prompt.ends_in_think
    assert _held_tokens(dialect, tool, prompt) > 5


@pytest.mark.parametrize(
    "parameters", [None, 5, {"properties": 5}, {"properties": {"x": 5, "y": {"type": [], "enum": {}, "maximum": "a"}}}]
)
def test_what_is_no_schema_has_an_example_too(parameters: object) -> None:
    assert json.dumps(example_call(Tool({"name": "f", "parameters": parameters})).arguments)


def test_an_example_of_a_deep_schema_is_not_deep() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(60):
        schema = {"type": "object", "properties": {"a": {"type": "array", "items": schema}}}
    assert json.dumps(example_call(Tool({"name": "f", "parameters": schema})).arguments).count("{") < 10


def test_a_long_example_is_not_written() -> None:
    schema = {"type": "object", "properties": {"a": {"enum": ["a" * 100_000]}}}
    call = example_call(Tool({"name": "f", "parameters": schema}))
    dialect = Dialect("glm4")
    assert example_answer(call, dialect.format, dialect.tokenizer) == []


def test_masks_are_the_same_after_an_example(dialect: Dialect) -> None:
    """And each example is walked once, as long as its grammar is kept."""
    both = [Grammars(dialect.tokenizer, dialect.ends, dialect.size) for _ in range(2)]
    for seed in range(3):
        tools = random_tools(seed)
        walked, other = (_held(dialect, grammars, tools) for grammars in both)
        walked.compile_all()
        kept = [both[0].compile(text) for text in _texts(dialect, tools)]
        assert all(grammar.walked for grammar in kept)
        tokens = dialect.noise(dialect.constraint(tools), seed, most=100)
        constraints = [TriggeredGrammar(held.trigger) for held in (walked, other)]
        for token in tokens:
            masks = [TokenMask(dialect.size) for _ in constraints]
            for constraint, mask in zip(constraints, masks, strict=True):
                if not constraint.free:
                    constraint.fill(mask)
                constraint.accept([token])
            assert masks[0].words == masks[1].words


class _BrokenFormat(GLM4Format):
    """GLM-4's, but for tools whose name is ``broken``: their grammar is none."""

    def call_grammar(self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> CallGrammar:
        if [tool.name for tool in tools] == ["broken"]:
            return CallGrammar("start: nothing")
        return super().call_grammar(tools, strict, loose)


def test_a_grammar_that_fails_beside_the_prompt_is_logged_and_fails_its_own_calls_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chatglm_server.log_once._logged", set())  # other tests may have filled it
    dialect = Dialect("glm4")
    dialect.format = _BrokenFormat()
    tools = [Tool({"name": name, "parameters": {"type": "object"}}) for name in ("broken", "whole")]
    held = _held(dialect, dialect.grammars, tools)
    caplog.set_level(logging.INFO)
    for _ in range(2):
        held.compile_all()
    assert [record.message.split(":")[0] for record in caplog.records] == ["calls of 'broken' will fail"]
    TriggeredGrammar(held.trigger).accept(dialect.cut("whole\n{"))
    with pytest.raises(GrammarError):
        TriggeredGrammar(held.trigger).accept(dialect.cut("broken\n{"))


def _held_tokens(dialect: Dialect, tool: Tool, prompt: Prompt) -> int:
    """How many tokens of an example are held to its grammar, all of which it allows."""
    constraint, count = TriggeredGrammar(_held(dialect, dialect.grammars, [tool], prompt).trigger), 0
    for token in example_answer(example_call(tool), dialect.format, dialect.tokenizer):
        count += not constraint.free
        constraint.accept([token])
    assert constraint.free, "the call has ended"
    return count


def _held(dialect: Dialect, grammars: Grammars, tools: Sequence[Tool], prompt: Prompt = PROMPT) -> HeldCalls:
    held = CallConstraints(grammars, dialect.format, dialect.tokenizer, strict=False).held(tools, {}, prompt)
    assert held is not None
    return held


def _texts(dialect: Dialect, tools: Sequence[Tool]) -> list[str]:
    grammars = [dialect.format.call_grammar([tool], (), ()) for tool in tools]
    return [grammar.text for grammar in grammars if grammar is not None]
