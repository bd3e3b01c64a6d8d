"""The grammar of a tagged call, for what follows ``<tool_call>``."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...chat import Tool
from ..base import THINK_END, THINK_START
from ..call_grammar import CallGrammar, CallsAfterToken
from ..values.argument_rules import BLANKS, declared_arguments, in_any_order
from ..values.argument_values import ArgumentValues
from ..values.assertions import ASSERTIONS, OF_STRINGS, check_held, check_object
from ..values.call_rules import CallRules
from ..values.input_forms import input_grammar
from ..values.json_schema import SchemaError
from ..values.lark import lark_string, nested
from .tags import CALL_END, CALL_START, KEY_END, KEY_START, VALUE_END, VALUE_START

_GAP = r"/\n?/"
_TEXT = "/(?s:.*)/"  # never a special token, so that only the closing tag ends it
_TERMINALS = f"""raw: {_TEXT} (({THINK_START} | {THINK_END}) {_TEXT})*
is: {KEY_END} {_GAP} {VALUE_START}
end: {VALUE_END} {_GAP}
"""


def tagged_beginning(tools: Sequence[Tool]) -> CallsAfterToken:
    """How calls of `tools` begin: with a name, and the tag behind it that a call of this tool may have there."""
    names: dict[str, list[str]] = {KEY_START: [], CALL_END: []}
    for tool in tools:
        arguments = declared_arguments(tool.function.get("parameters"))
        if arguments is None or arguments:
            names[KEY_START].append(tool.name)
        if arguments is None or not any(argument.required for argument in arguments):
            names[CALL_END].append(tool.name)
    choices = (f"({' | '.join(map(lark_string, known))}) {_GAP} {tag}" for tag, known in names.items() if known)
    return CallsAfterToken(CALL_START, f"start: {' | '.join(choices)}\n", KEY_START)


def tagged_calls(tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> CallGrammar:
    """The grammar of calls of `tools`. Values of those in `strict` fit their schemas, those in `loose` are any.

    Raises: SchemaError.
    """
    calls = _Calls()
    for tool in tools:
        calls.add(tool, strict=tool.name in strict, loose=tool.name in loose)
    return calls.grammar(_TERMINALS, BLANKS)


class _Calls(CallRules):
    """The grammar of a call of any of the tools that were added."""

    def add(self, tool: Tool, *, strict: bool, loose: bool) -> None:
        """Mutates the grammar. Raises: SchemaError."""
        call = self._begin_call()
        self._lines.append(f"{call}: {lark_string(tool.name)} {_GAP} {call}_args {CALL_END}")
        parameters = tool.function.get("parameters")
        arguments = declared_arguments(parameters)
        if arguments is None:
            if strict and parameters:
                raise SchemaError("the parameters of a strict function are an object with properties", "#")
            self._lines.append(f"{call}_args: ({_pair('/[^<>]+/', 'raw')})*")
            return
        if strict and isinstance(parameters, dict):
            check_object(parameters, "#")
        values = ArgumentValues(parameters)
        pairs = []
        for argument in arguments:
            if tool.input_form is not None:
                text = self._foreign(nested(input_grammar(tool.input_form)))
            else:
                text = "raw" if loose else self._value(values, argument.name, argument.schema, strict=strict)
            pairs.append(self._pairs.name(_pair(lark_string(argument.name), text)))
        self._lines += in_any_order(f"{call}_args", pairs, sum(argument.required for argument in arguments))

    def _value(self, values: ArgumentValues, name: str, schema: Any, *, strict: bool) -> str:
        """A value between its tags: text as it stands, or JSON."""
        known = isinstance(schema, dict)
        chosen = schema.get("enum", [schema["const"]] if "const" in schema else None) if known else None
        if isinstance(chosen, list) and chosen:
            words = {one if isinstance(one, str) else json.dumps(one, ensure_ascii=False): one for one in chosen}
            if strict:
                check_held(schema, {"enum", "const", "type"}, f"#/properties/{name}", "some values")
                words = {word: one for word, one in words.items() if json.loads(values.json_text(name, word)) == one}
            if not words:
                raise SchemaError("no value fits it", f"#/properties/{name}")
            return "(" + " | ".join(map(lark_string, words)) + ")"
        if not values.may_be_text(name):
            return self._values.name(schema, strict=strict)
        if known and schema.get("type") == "string" and schema.keys() & {"minLength", "maxLength"}:
            length = f"{{{schema.get('minLength', 0)},{schema.get('maxLength', '')}}}"
            text = self._foreign(f"/(?s:.{length})/")
        else:
            text = "raw"
        if strict and known:
            _check_text(schema, f"#/properties/{name}")
        return text


def _pair(name: str, value: str) -> str:
    return f"{KEY_START} {name} is {value} end"


def _check_text(schema: Mapping[str, Any], pointer: str) -> None:
    """Raises: SchemaError if text without quotes cannot be held to a schema that allows strings."""
    held = {"type", *OF_STRINGS} - {"pattern", "format"} if schema.get("type") == "string" else {"type", "anyOf"}
    check_held(schema, held, pointer, "a string between tags")
    branches = schema.get("anyOf")
    for branch in branches if isinstance(branches, list) else ():
        if not isinstance(branch, dict) or branch.keys() & ASSERTIONS - {"type"}:
            raise SchemaError("this server cannot hold a string between tags to anyOf with more than types", pointer)
