"""What is kept of calls' grammars, and when they are compiled."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from chatglm_server.chat import Message, Tool, ToolCall
from chatglm_server.decoding.constraints.grammars import Grammars
from chatglm_server.decoding.constraints.triggered import TriggeredGrammar
from chatglm_server.engine.call_constraints import CallConstraints
from chatglm_server.formats.base import Prompt, Special
from chatglm_server.model_files.tokenizer import encode_prompt
from tests.call_dialects import PROMPT, Dialect
from tests.random_schemas import random_tools, random_value


def test_a_grammar_is_compiled_when_its_tool_is_called(dialect: Dialect) -> None:
    """A large one before: the model does not wait for it."""
    grammars = Grammars(dialect.tokenizer, dialect.ends, dialect.size)
    many = {"type": "object", "properties": {f"a{place}": {"type": "integer"} for place in range(100)}}
    tools = [*random_tools(5), Tool({"name": "large", "parameters": many})]
    held = CallConstraints(grammars, dialect.format, dialect.tokenizer, strict=False).held(tools, {}, PROMPT)
    assert held is not None
    texts = {}
    for tool in tools:
        grammar = dialect.format.call_grammar([tool], (), ())
        assert grammar is not None
        texts[tool.name] = grammar.text

    def known() -> list[str]:
        return [name for name, text in texts.items() if grammars._compiled.get(text) is not None]

    assert known() == ["large"]
    called = next(tool for tool in tools if tool.function["parameters"].get("required"))
    constraint = TriggeredGrammar(held.trigger)
    call = ToolCall("1", called.name, random_value(random.Random(1), called.function["parameters"]))
    pieces = dialect.format.render([Message("assistant", "", tool_calls=(call,))]).pieces[:-1]
    constraint.accept(encode_prompt(dialect.tokenizer, Prompt(pieces[pieces.index(Special("<|assistant|>")) + 1 :])))
    assert sorted(known()) == sorted(["large", called.name])
    held.compile_all()
    assert known() == list(texts)


def test_a_grammar_is_written_once_for_tools_that_are_the_same(dialect: Dialect) -> None:
    calls = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=False)

    def grammar(tools: Sequence[Tool], prompt: Prompt = PROMPT) -> object:
        held = calls.held(tools, {}, prompt)
        assert held is not None
        return held.beginning

    first = grammar(random_tools(4))
    assert grammar(random_tools(4)) is first
    others = [
        random_tools(4)[::-1],
        random_tools(4)[1:],
        [Tool({**tool.function, "strict": True}) for tool in random_tools(4)],
        [Tool(json.loads(json.dumps(tool.function).replace("integer", "string"))) for tool in random_tools(4)],
    ]
    assert all(grammar(tools) is not first for tools in others)
    assert grammar(random_tools(4), Prompt((*PROMPT.pieces, Special("<think>")))) is not first
    assert grammar(random_tools(4)) is first
