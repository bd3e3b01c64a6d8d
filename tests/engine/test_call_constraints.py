"""Calls of random tools, written by noise under each dialect's grammar; the formats' parsers and jsonschema judge.

The noise draws any allowed token, a third of them from those that close something.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import jsonschema
import pytest

from chatglm_server.chat import JsonSchemaFormat, Message, Tool, ToolCall, ToolCallDelta, ToolCallStart
from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.forced_prefix import ForcedPrefix
from chatglm_server.decoding.constraints.grammars import Grammar, Grammars
from chatglm_server.decoding.constraints.triggered import TriggeredGrammar
from chatglm_server.engine.answer_grammar import answer_grammar
from chatglm_server.engine.call_constraints import CallConstraints, HeldCalls
from chatglm_server.errors import InvalidRequest
from chatglm_server.formats.base import Prompt, Special
from chatglm_server.formats.call_grammar import CallsAfterText
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.bpe_tokenizer import BytePairTokenizer
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.tokenizer import Detokenizer, Tokenizer, encode_prompt
from tests.decoding.test_grammar import MODELS
from tests.random_schemas import random_object, random_tools, random_value

PROMPT = Prompt((Special("<|assistant|>"),))
CLOSING = (b'"', b"'", b"}", b"]", b")")


class Dialect:
    """A format over a demo model's tokenizer; the tagged ones have special tokens of their own in GLM-4's."""

    def __init__(self, name: str) -> None:
        self.format = FORMATS[name]
        file = read_model_file(MODELS / ("demo-chatglm3.bin" if name == "chatglm3" else "demo-glm4.bin"))
        tokenizer = file.load_tokenizer(FORMATS[file.chat_format])
        self.tokenizer: Tokenizer = tokenizer
        if isinstance(tokenizer, BytePairTokenizer) and self.format.special_tokens != tuple(tokenizer.specials):
            words = {token: tokenizer.token_bytes(token) for token in range(tokenizer.size)}
            ranks = {word: token for token, word in words.items() if word}
            specials = {special: len(ranks) + place for place, special in enumerate(self.format.special_tokens)}
            self.tokenizer = BytePairTokenizer(ranks, specials, len(ranks) + len(specials))
        self.ends = {self.tokenizer.specials[name] for name in self.format.stop_tokens}
        self.size = self.tokenizer.size
        self.grammars = Grammars(self.tokenizer, self.ends, self.size)
        texts = (self.tokenizer.token_bytes(token) for token in range(self.size))
        self.closing = {token for token, text in enumerate(texts) if text.startswith(CLOSING)}
        self.closing |= {token for name, token in self.tokenizer.specials.items() if name.startswith("</")}

    def constraint(self, tools: Sequence[Tool], *, strict: bool = False, once: bool = True) -> TriggeredGrammar:
        """Holds an answer that begins with a call of one of `tools`."""
        calls = CallConstraints(self.grammars, self.format, self.tokenizer, strict=strict)
        held = calls.held(tools, {tool.name: place for place, tool in enumerate(tools)}, PROMPT)
        assert held is not None
        openings = [Prompt(self.format.call_opening(tool.name, PROMPT)) for tool in tools]
        return TriggeredGrammar(
            held.trigger,
            ForcedPrefix([encode_prompt(self.tokenizer, opening) for opening in openings]),
            once=once,
        )

    def noise(self, constraint: TriggeredGrammar, seed: int, most: int = 500) -> list[int]:
        """A call; without its end if it has more than `most` tokens."""
        draw, tokens = random.Random(seed), list[int]()
        while len(tokens) < most and not (tokens and tokens[-1] in self.ends):
            following = list(constraint.forced())
            if not following:
                assert not constraint.free
                mask = TokenMask(self.size)
                constraint.fill(mask)
                allowed = set(mask)
                narrow = allowed & self.closing if draw.random() < 0.35 else set()
                following = [draw.choice(sorted(narrow or allowed))]
            constraint.accept(following)
            tokens += following
        return tokens

    def texts(self, tokens: Sequence[int]) -> list[bytes]:
        """What each token spells."""
        return [self.tokenizer.token_bytes(token) for token in tokens]

    def cut(self, text: str) -> list[int]:
        """The tokens of a text that goes on behind another."""
        tokens = self.tokenizer.encode_text("\n" + text)
        for count in range(1, len(tokens) + 1):
            if b"".join(map(self.tokenizer.token_bytes, tokens[:count])).endswith(b"\n"):
                return tokens[count:]
        return tokens

    def calls(self, tokens: Sequence[int], tools: Sequence[Tool], *, exact: bool = True) -> list[tuple[str, Any]]:
        """The calls that the format's parser reads."""
        detokenizer, parser = Detokenizer(self.tokenizer), self.format.parser(tools, exact=exact)
        pieces = [piece for token in tokens if token not in self.ends for piece in detokenizer.feed(token)]
        events = [event for piece in pieces for event in parser.feed(piece)] + parser.flush("stop")
        names = [event.name for event in events if isinstance(event, ToolCallStart)]
        texts = [""] * len(names)
        for event in events:
            if isinstance(event, ToolCallDelta):
                texts[event.index] += event.arguments
        return [(name, json.loads(text)) for name, text in zip(names, texts, strict=True)]


def compiled(dialect: Dialect, held: HeldCalls) -> Grammar:
    """The grammar of all calls."""
    grammar = held.grammar()
    assert grammar is not None
    return dialect.grammars.compile(grammar.text)


@pytest.fixture(scope="module", params=["chatglm3", "glm4", "glm45", "glm47"])
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return Dialect(request.param)


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
        return [name for name, text in texts.items() if grammars._matchers.get(text) is not None]

    assert known() == ["large"]
    called = next(tool for tool in tools if tool.function["parameters"].get("required"))
    constraint = TriggeredGrammar(held.trigger)
    call = ToolCall("1", called.name, random_value(random.Random(1), called.function["parameters"]))
    pieces = dialect.format.render([Message("assistant", "", tool_calls=(call,))]).pieces[:-1]
    constraint.accept(encode_prompt(dialect.tokenizer, Prompt(pieces[pieces.index(Special("<|assistant|>")) + 1 :])))
    assert sorted(known()) == sorted(["large", called.name])
    held.compile_all()
    assert known() == list(texts)


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


@pytest.mark.parametrize("inner", [5, None, [], "x", {"type": "int"}])
def test_what_is_no_schema_is_refused_in_an_object_too(inner: Any) -> None:
    argument = {"type": "object", "properties": {"a": {"type": "integer"}, "b": inner}, "required": ["b"]}
    tool = Tool({"name": "f", "parameters": {"type": "object", "properties": {"x": argument}}})
    with pytest.raises(InvalidRequest, match="cannot be honoured"):
        Dialect("glm4").constraint([tool], strict=True)


def test_an_answer_is_a_call_or_in_the_form_asked_for(dialect: Dialect) -> None:
    tools = random_tools(2)
    calls = CallConstraints(dialect.grammars, dialect.format, dialect.tokenizer, strict=True)
    held = calls.held(tools, {}, PROMPT)
    prompt = Prompt((*PROMPT.pieces, Special("</think>"))) if dialect.format.thinking.on else PROMPT
    form = JsonSchemaFormat({"type": "object", "properties": {"n": {"const": 1}}, "required": ["n"]})
    lead = dialect.format.answer_lead(prompt)
    answers = answer_grammar(dialect.grammars, form, lead, held)
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
