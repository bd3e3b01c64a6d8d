"""The grammar of an answer in the form that a request asks for, in llguidance's dialect of Lark."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

from llguidance.gbnf_to_lark import gbnf_to_lark

from ..chat import (
    ChoiceFormat,
    GrammarFormat,
    JsonObjectFormat,
    JsonSchemaFormat,
    Message,
    RegexFormat,
    ResponseFormat,
)
from ..decoding.constraints.grammars import Grammar, GrammarError, Grammars
from ..errors import InvalidRequest
from ..formats.values.json_grammar import json_rule
from ..formats.values.json_schema import SchemaError, subschemas
from ..formats.values.lark import lark_string, nested
from ..formats.values.text_grammar import NOTHING_FORCED, TextGrammarError, check_grammar, check_length, regex_grammar
from ..log_once import log_once
from ..recent import Recent
from .call_constraints import HeldCalls

NOUN = "response_format"
_KEPT_CHARACTERS = 1_000_000  # of schemas and the grammars written of them
_MOST_PLACES = 300  # schemas that are compiled one by one to find the one at fault

EMPTY_LEAD = 'lead: ""\n'
"""Nothing stands before the text."""


class AnswerGrammars:
    """The grammars of answers in the forms that requests ask for. Any thread may ask."""

    def __init__(self, grammars: Grammars) -> None:
        self._grammars = grammars
        self._texts: Recent[str, str] = Recent(_KEPT_CHARACTERS)

    def of(self, wanted: ResponseFormat, lead: str, calls: HeldCalls | None = None) -> Grammar:
        """The compiled grammar of answers in the form `wanted`, which is not `TextFormat`, or that are one of `calls`.

        `lead` defines the rule of that name: what the model writes before the text. Mutates the grammars: what is
        written of a schema is kept.

        Raises: InvalidRequest for what no answer can be held to.
        """
        try:
            answer = self._json(wanted) if isinstance(wanted, JsonSchemaFormat) else _answer(wanted)
        except TextGrammarError as error:
            raise InvalidRequest(str(error), param=NOUN) from None
        try:
            self._grammars.compile(_lark(EMPTY_LEAD, answer))  # behind a lead it does not show that no text fits
            grammar = self._grammars.compile(_lark(lead, answer, calls))
        except GrammarError as error:
            if isinstance(wanted, JsonSchemaFormat):
                raise _refused(_place(self._grammars, wanted.schema) or SchemaError(str(error))) from None
            raise InvalidRequest(f"no answer can be held to it: {error}", param=NOUN) from None
        for warning in grammar.warnings:
            log_once(f"left out of a schema: {warning[:200]}")
        return grammar

    def _json(self, wanted: JsonSchemaFormat) -> str:
        """A Lark expression for JSON by a schema. Raises: InvalidRequest."""
        strict = wanted.strict is not False
        try:
            key = json.dumps([wanted.schema, strict])
            text = self._texts.get(key)
            if text is None:
                text = json_rule(wanted.schema, strict=strict)
                self._texts.keep(key, text, len(key) + len(text))
        except SchemaError as error:
            raise _refused(error) from None
        except RecursionError:
            raise _refused(SchemaError("it is nested too deep")) from None
        return text


def _lark(lead: str, answer: str, calls: HeldCalls | None = None) -> str:
    start = "lead answer" if calls is None else calls.first("lead", "answer")
    return f"%llguidance {{}}\nstart: {start}\n{lead}answer: {answer}\n"


def _place(grammars: Grammars, schema: object) -> SchemaError | None:
    """The innermost schema that cannot be compiled by itself. Those with references are passed over."""
    for pointer, one in reversed(list(subschemas(schema))[:_MOST_PLACES]):
        rule = json_rule(one, strict=True)
        if '"$ref"' not in rule and (error := grammars.fails(_lark(EMPTY_LEAD, rule))):
            return SchemaError(error, pointer)
    return None


def with_schema(messages: Sequence[Message], wanted: ResponseFormat | None) -> Sequence[Message]:
    """`messages` with the schema that the answer must fit in the first system message.

    The grammar keeps the model to the schema, but does not tell it what the fields mean.
    """
    if not isinstance(wanted, JsonSchemaFormat) or wanted.schema is True:
        return messages
    try:
        schema = json.dumps(wanted.schema, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return messages  # such a schema is refused
    told = f"Answer with JSON that fits this JSON schema: {schema}"
    if messages and messages[0].role == "system":
        system = messages[0]
        return [replace(system, content=f"{system.content}\n\n{told}".lstrip()), *messages[1:]]
    return [Message("system", told), *messages]


def _answer(wanted: ResponseFormat) -> str:
    """A Lark expression for a form that is no schema. Raises: InvalidRequest, TextGrammarError."""
    if isinstance(wanted, JsonObjectFormat):
        return json_rule({"type": "object"}, strict=True)
    if isinstance(wanted, ChoiceFormat):
        if not wanted.options or "" in wanted.options:
            raise InvalidRequest("a choice needs options, none of them empty", param=NOUN)
        check_length(sum(map(len, wanted.options)))
        return " | ".join(map(lark_string, wanted.options))
    if isinstance(wanted, RegexFormat):
        return nested(regex_grammar(wanted.pattern))
    assert isinstance(wanted, GrammarFormat)  # noqa: S101  # the only one left
    return nested(NOTHING_FORCED + _converted(wanted))


def _refused(error: SchemaError) -> InvalidRequest:
    place = f"{error.pointer}: " if error.pointer else ""
    return InvalidRequest(f"the schema cannot be honoured: {place}{error}", param=f"{NOUN}.schema")


def _converted(wanted: GrammarFormat) -> str:
    """The client's grammar as Lark. vLLM's and llama.cpp's clients write GBNF; Lark names its first rule ``start``."""
    grammar = wanted.grammar
    check_grammar(grammar)
    if "%json" in grammar:
        raise InvalidRequest("a grammar must not hold %json; send the schema as a response_format", param=NOUN)
    if wanted.syntax == "lark" or (wanted.syntax is None and "::=" not in grammar):
        return grammar
    try:
        return str(gbnf_to_lark(grammar))
    except RecursionError:
        raise InvalidRequest("the grammar is nested too deep", param=NOUN) from None
    except Exception as error:  # the converter has no class of its own for most
        raise InvalidRequest(f"the grammar is not GBNF: {str(error)[:200]}", param=NOUN) from None
