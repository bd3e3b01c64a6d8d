"""Calls of random tools, written by noise under each dialect's grammar; the formats' parsers and jsonschema judge.

The noise draws any allowed token, a third of them from those that close something.
"""

from __future__ import annotations

import random

import jsonschema
import pytest

from chatglm_server.chat import JsonSchemaFormat, Message, Tool, ToolCall
from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.triggered import TriggeredGrammar
from chatglm_server.engine.answer_grammar import AnswerGrammars
from chatglm_server.engine.call_constraints import CallConstraints
from chatglm_server.formats.base import Prompt, Special
from chatglm_server.model_files.tokenizer import encode_prompt
from tests.call_dialects import PROMPT, Dialect, compiled
from tests.random_schemas import random_tools, random_value


def test_every_call_is_valid(dialect: Dialect) -> None:
    ended = 0
    for seed in range(20):
        tools = random_tools(seed)
        tokens = dialect.noise(dialect.constraint(tools, strict=True), seed)
        if tokens[-1] in dialect.ends:
            ((name, arguments),) = dialect.calls(tokens, tools)
            schema = next(tool.function["parameters"] for tool in tools if tool.name == name)
            jsonschema.validate(arguments, schema)
            ended += 1
    assert ended > 10


def test_a_rollback_leads_back(dialect: Dialect) -> None:
    """Over the opening and the call's beginning."""
    constraint = dialect.constraint(random_tools(3))
    tokens = dialect.noise(dialect.constraint(random_tools(3)), 3)[:50]

    def state() -> tuple[bool, list[int], list[int]]:
        mask = TokenMask(dialect.size)
        if not constraint.free:
            constraint.fill(mask)
        return constraint.free, list(mask), list(constraint.forced())

    seen = []
    for token in tokens:
        seen.append(state())
        constraint.accept([token])
    for place in (len(tokens) - 1, len(tokens) // 2, 1, 0):
        constraint.rollback(len(tokens) - place)
        assert state() == seen[place]
        constraint.accept(tokens[place:])


def test_a_call_is_held_as_by_the_grammar_of_all_calls(dialect: Dialect) -> None:
    """Though its name and its arguments have grammars of their own."""
    places = 0
    for seed in range(6):
        tools = random_tools(seed)
        tokens = dialect.noise(dialect.constraint(tools), seed, most=120)
        held = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=False).held(
            tools, {}, PROMPT
        )
        assert held is not None
        constraint, whole = TriggeredGrammar(held.trigger), compiled(dialect, held).constraint()
        begun = False
        for place, token in enumerate(tokens):
            if not constraint.free:
                if not begun:
                    found = held.trigger.find(tokens[:place])
                    assert found is not None
                    assert whole.begin(found.text)
                    begun = True
                masks = TokenMask(dialect.size), TokenMask(dialect.size)
                constraint.fill(masks[0])
                whole.fill(masks[1])
                assert masks[0].words == masks[1].words, (seed, dialect.texts(tokens[:place]))
                assert list(constraint.forced()) == list(whole.forced())
                places += 1
            constraint.accept([token])
            if begun:
                whole.accept([token])
    assert places > 100


def test_an_answer_is_a_call_or_in_the_form_asked_for(dialect: Dialect) -> None:
    tools = random_tools(2)
    calls = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=True)
    held = calls.held(tools, {}, PROMPT)
    prompt = Prompt((*PROMPT.pieces, Special("</think>"))) if dialect.format.thinking.on else PROMPT
    form = JsonSchemaFormat({"type": "object", "properties": {"n": {"const": 1}}, "required": ["n"]})
    lead = dialect.format.answer_lead(prompt)
    answers = AnswerGrammars(dialect.grammars).of(form, lead, held)
    free = answers.constraint()
    assert free.begin(b"\n" + b'{"n": 1}' if lead.count("\\n") else b'{"n": 1}')
    assert free.complete
    opening = Prompt(dialect.format.call_opening(tools[0].name, prompt))
    tokens = encode_prompt(dialect.tokenizer, opening)
    call = answers.constraint()
    for token in tokens:
        mask = TokenMask(dialect.size)
        call.fill(mask)
        assert token in mask
        call.accept([token])


@pytest.mark.parametrize("count", [0, 60, 61, 200])
def test_any_number_of_arguments(dialect: Dialect, count: int) -> None:
    names = [f"a{place}" for place in range(count)]
    schema = {
        "type": "object",
        "properties": {name: {"enum": [1, 2]} for name in names},
        "required": names[::7],
        "additionalProperties": False,
    }
    tools = [Tool({"name": "many", "parameters": schema})]
    tokens = dialect.noise(dialect.constraint(tools, strict=True), 1, most=6000)
    assert tokens[-1] in dialect.ends
    ((_, arguments),) = dialect.calls(tokens, tools)
    jsonschema.validate(arguments, schema)


def test_forced_tokens_are_those_of_the_whole_call(dialect: Dialect) -> None:
    """Of calls in the model's own notation, cut by its tokenizer: SentencePiece puts blanks before pieces."""
    runs = 0
    for seed in range(50):
        tools, draw = random_tools(seed), random.Random(seed)
        tool = draw.choice(tools)
        call = ToolCall("1", tool.name, random_value(draw, tool.function["parameters"]))
        pieces = dialect.format.render([Message("assistant", "", tool_calls=(call,))]).pieces[:-1]
        start = pieces.index(Special("<|assistant|>")) + 1
        tokens = encode_prompt(dialect.tokenizer, Prompt(pieces[start:]))
        calls = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=seed % 2 == 0)
        held = calls.held(tools, {}, PROMPT)
        assert held is not None
        constraint = TriggeredGrammar(held.trigger)
        for place, token in enumerate(tokens):
            forced = list(constraint.forced())
            rest = tokens[place : place + len(forced)]
            assert forced[: len(rest)] == rest, (seed, dialect.texts(forced), dialect.texts(rest))
            runs += len(forced) > 0
            constraint.accept([token])
    assert runs > 50
