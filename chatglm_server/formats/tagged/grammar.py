"""The grammar of a tagged call, for what follows ``<tool_call>``."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ...chat import Tool
from ..base import THINK_END, THINK_START
from ..call_grammar import CallsAfterToken
from ..values.argument_rules import declared_arguments, in_any_order
from ..values.argument_values import ArgumentValues
from ..values.json_grammar import SchemaError, json_rule
from .tags import CALL_END, CALL_START, KEY_END, KEY_START, VALUE_END, VALUE_START

_GAP = r"/\n?/"
_TEXT = "/(?s:.*)/"  # never a special token, so that only the closing tag ends it
_TERMINALS = rf"""TAGLESS: {_TEXT} & ~/(?s:.*)<\/(arg_value|tool_call)>(?s:.*)/
raw: {_TEXT} (({THINK_START} | {THINK_END}) {_TEXT})*
"""


def tagged_calls(tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> CallsAfterToken:
    """The grammar of calls of `tools`. Values of those in `strict` fit their schemas, those in `loose` are any.

    Raises: SchemaError.
    """
    rules = list[str]()
    for number, tool in enumerate(tools):
        rules += _call(number, tool, strict=tool.name in strict, loose=tool.name in loose)
    start = " | ".join(f"call_{number}" for number in range(len(tools)))
    return CallsAfterToken(CALL_START, "\n".join(["%llguidance {}", f"start: {start}", _TERMINALS, *rules, ""]))


def _call(number: int, tool: Tool, *, strict: bool, loose: bool) -> Iterator[str]:
    parameters = tool.function.get("parameters")
    name = json.dumps(tool.name, ensure_ascii=False)
    yield f"call_{number}: {name} {_GAP} args_{number} {CALL_END}"
    arguments = declared_arguments(parameters)
    if arguments is None:
        if strict and parameters:
            raise SchemaError("the parameters of a strict function are an object with properties", "#")
        yield f"args_{number}: ({_pair('/[^<>]+/', 'raw')})*"
        return
    values = ArgumentValues(parameters)
    pairs = []
    for place, argument in enumerate(arguments):
        text = "raw" if loose else _value(values, argument.name, argument.schema, strict=strict)
        yield f"pair_{number}_{place}: {_pair(json.dumps(argument.name, ensure_ascii=False), text)}"
        pairs.append(f"pair_{number}_{place}")
    yield from in_any_order(f"args_{number}", pairs, sum(argument.required for argument in arguments))


def _pair(name: str, value: str) -> str:
    return f"{KEY_START} {name} {KEY_END} {_GAP} {VALUE_START} {value} {VALUE_END} {_GAP}"


def _value(values: ArgumentValues, name: str, schema: Any, *, strict: bool) -> str:
    """A value between its tags: text as it stands, or JSON."""
    chosen = schema.get("enum", [schema["const"]] if "const" in schema else None) if isinstance(schema, dict) else None
    if isinstance(chosen, list) and chosen:
        words = (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in chosen)
        return "(" + " | ".join(json.dumps(word, ensure_ascii=False) for word in words) + ")"
    if not values.may_be_text(name):
        return f"({json_rule(schema, strict=strict)})"
    if isinstance(schema, dict) and schema.get("type") == "string" and schema.keys() & {"minLength", "maxLength"}:
        length = f"{{{schema.get('minLength', 0)},{schema.get('maxLength', '')}}}"
        text = f"/(?s:.{length})/"
    else:
        text = "TAGLESS" if strict else "raw"
    if strict and isinstance(schema, dict):
        _check_text(schema, f"#/properties/{name}")
    return text


def _check_text(schema: Mapping[str, Any], pointer: str) -> None:
    """Raises: SchemaError if text without quotes cannot be held to a schema that allows strings."""
    for keyword in ("pattern", "format", "oneOf", "allOf", "not", "$ref"):
        if keyword in schema:
            raise SchemaError(f"this server cannot hold a string between tags to {keyword}", pointer)
    branches = schema.get("anyOf")
    for branch in branches if isinstance(branches, list) else ():
        if not isinstance(branch, dict) or branch.keys() - {"type", "title", "description"}:
            raise SchemaError("this server cannot hold a string between tags to anyOf with more than types", pointer)
