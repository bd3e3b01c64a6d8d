"""Answers by random schemas: noise writes what the grammar allows, and jsonschema judges."""

from __future__ import annotations

import json
import os
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from chatglm_server.chat import ChoiceFormat, GrammarFormat, JsonSchemaFormat, RegexFormat
from chatglm_server.engine.answer_grammar import EMPTY_LEAD, AnswerGrammars
from chatglm_server.errors import InvalidRequest
from tests.decoding.test_grammar import Vocabulary

NAMES = st.sampled_from(["a", "b c", "ü", 'q"', "d/e"])
LEAVES = st.one_of(
    st.builds(lambda least, more: {"type": "integer", "minimum": least, "maximum": least + more},
              st.integers(-50, 50), st.integers(0, 500)),
    st.builds(lambda least, more: {"type": "string", "minLength": least, "maxLength": least + more},
              st.integers(0, 3), st.integers(0, 6)),
    st.builds(lambda values: {"enum": values},
              st.lists(st.one_of(st.integers(-(2**53), 2**53), st.text(), st.none()), min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, st.one_of(st.booleans(), st.text(max_size=5))),
    st.sampled_from([
        {"type": "boolean"}, {"type": "null"}, {"type": "number", "exclusiveMinimum": 0, "maximum": 2.5},
        {"type": "string", "pattern": "^[a-c]+x?$"}, {"type": "string", "pattern": r"\d{2}-", "maxLength": 8},
        {"type": "string", "format": "date"}, {"type": "string", "format": "uuid"}, {"type": ["string", "null"]},
        {"$ref": "#/$defs/tree"},
    ]),
)  # fmt: skip


def _objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(
        lambda properties, flags: {
            "type": "object",
            "properties": properties,
            "required": [name for name, flag in zip(properties, flags, strict=False) if flag],
            "additionalProperties": False,
        },
        st.dictionaries(NAMES, inner, max_size=4),
        st.lists(st.booleans(), min_size=4, max_size=4),
    )


SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        _objects(inner),
        st.builds(lambda items, most: {"type": "array", "items": items, "maxItems": most}, inner, st.integers(0, 3)),
        st.builds(lambda branches: {"anyOf": branches}, st.lists(inner, min_size=1, max_size=3)),
    ),
    max_leaves=8,
)
TREE = {
    "type": "object",
    "properties": {"leaf": {"type": "boolean"}, "next": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
    "required": ["leaf"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary("demo-glm4.bin")


@settings(
    max_examples=int(os.environ.get("CHATGLM_TEST_SCHEMAS", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(schema=SCHEMAS, seed=st.integers(0, 1000))
def test_every_ended_answer_fits_its_schema(vocabulary: Vocabulary, schema: dict[str, Any], seed: int) -> None:
    whole: dict[str, Any] = {"type": "object", "properties": {"x": schema}, "required": ["x"], "$defs": {"tree": TREE}}
    whole["additionalProperties"] = False
    grammar = AnswerGrammars(vocabulary.grammars).of(JsonSchemaFormat(whole, strict=True), EMPTY_LEAD)
    tokens = vocabulary.noise(grammar.constraint(), seed, most=300)
    if tokens[-1] in vocabulary.ends:
        jsonschema.validate(json.loads(vocabulary.text(tokens)), whole, format_checker=jsonschema.FormatChecker())


@given(pattern=st.sampled_from(["a/b", r"a\/b", r"\\/", "[/]x", "\n/"]))
def test_slashes_in_patterns(vocabulary: Vocabulary, pattern: str) -> None:
    grammar = AnswerGrammars(vocabulary.grammars).of(RegexFormat(pattern), EMPTY_LEAD)
    text = pattern.replace(r"\/", "/").replace("[/]", "/").replace("\\\\", "\\") if pattern != r"\\/" else "\\/"
    constraint = grammar.constraint()
    assert constraint.begin(text.encode())
    assert constraint.complete


@example(options=["\x00 \x1f \x7f \x80 \u2028 \ufeff"])
@given(options=st.lists(st.text(min_size=1).filter(lambda text: not _has_surrogates(text)), min_size=1, max_size=5))
def test_every_option_can_be_written(vocabulary: Vocabulary, options: list[str]) -> None:
    grammar = AnswerGrammars(vocabulary.grammars).of(ChoiceFormat(tuple(options)), EMPTY_LEAD)
    for option in options:
        constraint = grammar.constraint()
        assert constraint.begin(option.encode())
        assert constraint.complete


@pytest.mark.parametrize(
    "grammar", ["root ::= %json {}", "root ::= " + "x" * 65_000, "root ::= undefined", "start: /(/"]
)
def test_a_grammar_that_cannot_be_used_is_the_clients_fault(vocabulary: Vocabulary, grammar: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        AnswerGrammars(vocabulary.grammars).of(GrammarFormat(grammar), EMPTY_LEAD)
    assert error.value.param == "response_format"


@pytest.mark.parametrize("grammar", ["start: /a+/ /a+/", 'start: "a" start', 'root ::= "a" root'])
def test_a_text_that_never_ends_is_not_forced(vocabulary: Vocabulary, grammar: str) -> None:
    """llguidance would look for its end for ever."""
    constraint = AnswerGrammars(vocabulary.grammars).of(GrammarFormat(grammar), EMPTY_LEAD).constraint()
    tokens = vocabulary.noise(constraint, 1, most=9)
    assert set(vocabulary.text(tokens)) == set(b"a")
    assert constraint.forced() == []


def _has_surrogates(text: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in text)


@pytest.mark.parametrize(
    ("schema", "text", "fits"),
    [
        ({"properties": {"a": {"const": 1}}}, '{"a": 1, "b": 2}', False),
        ({"properties": {"a": {"const": 1}}, "additionalProperties": True}, '{"a": 1, "b": 2}', True),
        ({"properties": {"a": {"const": 1}}, "required": ["b"]}, '{"a": 1, "b": 2}', True),
        ({"properties": {"a": {"const": 1}}, "allOf": [{"properties": {"b": {"const": 2}}}]}, '{"a": 1, "b": 2}', True),
        ({"properties": {"a": {"properties": {"b": {}}}}}, '{"a": {"b": 1, "c": 2}}', False),
        ({}, '{"a": 1e5}', True),
    ],
)
def test_objects_have_no_members_but_those_declared(
    vocabulary: Vocabulary, schema: dict[str, Any], text: str, fits: bool
) -> None:
    grammar = AnswerGrammars(vocabulary.grammars).of(JsonSchemaFormat({"type": "object"} | schema), EMPTY_LEAD)
    assert grammar.constraint().begin(text.encode()) == fits


@pytest.mark.parametrize("text", [r'"\u00e9\u4f60\ud83d\ude00"', r'"\n\t\\ \""', '"é你😀"'])
def test_escapes_that_models_write(vocabulary: Vocabulary, text: str) -> None:
    grammar = AnswerGrammars(vocabulary.grammars).of(JsonSchemaFormat({"type": "string"}), EMPTY_LEAD)
    constraint = grammar.constraint()
    assert constraint.begin(text.encode())
    assert constraint.complete


def test_a_grammar_is_written_once_for_schemas_that_are_the_same(vocabulary: Vocabulary) -> None:
    forms = AnswerGrammars(vocabulary.grammars)
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {"const": 1}, "b": {"type": "integer"}}}
    first = forms.of(JsonSchemaFormat(schema), EMPTY_LEAD)
    assert forms.of(JsonSchemaFormat(json.loads(json.dumps(schema)), strict=True), EMPTY_LEAD) is first
    others = [schema | {"properties": {"a": {"const": one}, "b": {"type": "integer"}}} for one in (True, 1.0, "1")]
    others.append(schema | {"properties": dict(reversed(schema["properties"].items()))})
    grammars = [forms.of(JsonSchemaFormat(other), EMPTY_LEAD) for other in others]
    assert [grammar.constraint().begin(b'{"a":1,') for grammar in grammars] == [False, True, False, False]
