"""The grammar of a call that is a tool's name and ``tool_call(name=literal, …)`` (ChatGLM3)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ...chat import Tool
from ..call_grammar import CallGrammar, CallsAfterText
from ..values.argument_rules import BLANKS, Argument, declared_arguments, in_any_order
from ..values.assertions import ASSERTIONS, OF_ANY, OF_ARRAYS, OF_OBJECTS, check_held, check_object
from ..values.call_rules import CallRules
from ..values.input_forms import input_parameters
from ..values.json_grammar import WHITESPACE
from ..values.json_schema import SchemaError
from ..values.lark import lark_string
from ..values.schema import declared_types, json_types
from .layout import FENCE, line_of
from .python_calls import CALL_NAME

_MOST_DEPTH = 8
_ESCAPE = r"""\\['"\\nrtabfv0]|\\x[0-9a-fA-F]{2}|\\u([0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})"""
_PLAIN_NAME = re.compile(r"[^\s'\"=(){}\[\],#*]+")
_BETWEEN = f"\n```python\n{CALL_NAME}"
_LITERALS = rf"""{BLANKS}HEAD: /\n ?```python\n ?{CALL_NAME}\(/
END: /({WHITESPACE})?\)(\n?(```)?\n?)?/
STRING: /'([^'\\\n]|{_ESCAPE})*'|"([^"\\\n]|{_ESCAPE})*"/
NUMBER: /-?(0|[1-9][0-9]{{0,15}})(\.[0-9]{{1,15}})?([eE][-+]?[0-9]{{1,2}})?/
literal: STRING | NUMBER | "True" | "False" | "None" | list | dict
list: "[" WS? (literal (COMMA literal)*)? WS? "]"
dict: "{{" WS? (STRING COLON literal (COMMA STRING COLON literal)*)? WS? "}}"
"""  # SentencePiece puts a blank before a line


def python_beginning(
    tools: Sequence[Tool], strict: Collection[str], interpreter_tools: Collection[str]
) -> CallsAfterText | None:
    """How calls of `tools` begin. Code for `interpreter_tools` is no such call. None if there are no others.

    If any tool is in `strict`, a call is held from before its bracket on, because a token may hold more than the
    bracket.
    """
    names = [tool.name for tool in tools if tool.name not in interpreter_tools]
    if not names:
        return None
    line = line_of(names)
    if strict:
        head = re.compile(rf"{line} ?```python\n ?{CALL_NAME}(?P<body>\([^(]{{0,64}})?\Z")
        return CallsAfterText(head, f"{CALL_NAME[-1]}(", _BETWEEN, opening="(")
    head = re.compile(rf"{line}\s{{0,16}}(?:{FENCE}\s{{0,64}})?{CALL_NAME}\s{{0,16}}(?P<body>\([^(]{{0,64}})\Z")
    return CallsAfterText(head, "(", _BETWEEN)


def python_calls(
    tools: Sequence[Tool], strict: Collection[str], loose: Collection[str], interpreter_tools: Collection[str]
) -> CallGrammar | None:
    """The grammar of calls of `tools`. Values of those in `strict` fit their schemas, those in `loose` are any.

    Code for `interpreter_tools` is no such call. None if there are no others. Raises: SchemaError.
    """
    tools = [tool for tool in tools if tool.name not in interpreter_tools]
    if not tools:
        return None
    calls = _Calls()
    for tool in tools:
        calls.add(tool, strict=tool.name in strict, loose=tool.name in loose)
    return calls.grammar(_LITERALS)


class _Calls(CallRules):
    """The grammar of a call of any of the tools that were added."""

    def __init__(self) -> None:
        super().__init__()
        self._objects = 0

    def add(self, tool: Tool, *, strict: bool, loose: bool) -> None:
        """Mutates the grammar. Raises: SchemaError."""
        self._strict, self._loose = strict, loose
        call = self._begin_call()
        head = f"{call}: {lark_string(tool.name)} HEAD WS?"
        parameters = input_parameters(tool)
        arguments = declared_arguments(parameters)
        if arguments is None:
            if strict and parameters:
                raise SchemaError("the parameters of a strict function are an object with properties", "#")
            pair = self._pairs.name(f'/{_PLAIN_NAME.pattern}/ "=" literal')
            self._lines.append(f"{head} ({pair} (COMMA {pair})*)? END")
            return
        if strict and isinstance(parameters, dict):
            check_object(parameters, "#")
        pairs = []
        for argument in arguments:
            value = self._value(argument.schema, argument.schema, f"#/properties/{argument.name}", 0)
            name = argument.name if _PLAIN_NAME.fullmatch(argument.name) else repr(argument.name)
            pairs.append(self._pairs.name(f'{lark_string(name)} "=" {value}'))
        self._lines.append(f"{head} {call}_args")
        self._members(f"{call}_args", arguments, pairs, "END")

    def _members(self, rule: str, arguments: Sequence[Argument], pairs: Sequence[str], end: str) -> None:
        needed = sum(argument.required for argument in arguments)
        self._lines += in_any_order(rule, pairs, needed, end=end, comma="COMMA")

    def _value(self, schema: Any, root: Any, pointer: str, depth: int) -> str:
        if self._loose or not isinstance(schema, dict) or not schema:
            return "literal"
        if "$ref" in schema:
            self._check(schema, {"$ref"}, pointer)
            schema = _target(root, schema["$ref"])
        if depth > _MOST_DEPTH or not isinstance(schema, dict):
            return self._unknown("nesting", pointer)
        chosen = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if isinstance(chosen, list) and chosen:
            self._check(schema, {"enum", "const", "type"}, pointer)
            return self._chosen([one for one in chosen if json_types(one) & declared_types(schema)], pointer)
        branches = schema.get("anyOf", schema.get("oneOf"))
        if isinstance(branches, list) and branches:
            self._check(schema, {"anyOf"}, pointer)
            return "(" + " | ".join(self._value(one, root, pointer, depth + 1) for one in branches) + ")"
        self._check(schema, ASSERTIONS - OF_ANY, pointer)
        if "allOf" in schema or "not" in schema:
            return "literal"
        types = schema.get("type", [])
        types = [types] if isinstance(types, str) else types if isinstance(types, list) else []
        if not types:
            types = ["object"] if "properties" in schema else ["array"] if "items" in schema else []
        if not types:
            self._check(schema, {"type"}, pointer)
            return "literal"
        return "(" + " | ".join(self._typed(kind, schema, root, pointer, depth) for kind in types) + ")"

    def _chosen(self, values: Sequence[Any], pointer: str) -> str:
        if not values:
            raise SchemaError("no value fits it", pointer)
        return "(" + " | ".join(sorted({lark_string(text) for one in values for text in _spellings(one)})) + ")"

    def _typed(self, kind: object, schema: Mapping[str, Any], root: Any, pointer: str, depth: int) -> str:
        if kind in ("integer", "number"):  # JSON's numbers are Python's
            return self._values.name({**schema, "type": kind}, strict=self._strict)
        if kind == "string":
            if self._strict and schema.keys() & {"pattern", "format", "minLength", "maxLength"}:
                return self._values.name({**schema, "type": kind}, strict=True)
            return "STRING"
        if kind == "array":
            return self._array(schema, root, pointer, depth)
        if kind == "object":
            return self._object(schema, root, pointer, depth)
        return {"boolean": '"True" | "False"', "null": '"None"'}.get(str(kind)) or self._unknown("type", pointer)

    def _array(self, schema: Mapping[str, Any], root: Any, pointer: str, depth: int) -> str:
        self._check(schema, ASSERTIONS - OF_ARRAYS | {"items"}, pointer)
        items = schema.get("items", True)
        if not isinstance(items, dict) and items is not True:
            return self._unknown("items that are not one schema", pointer)
        item = self._value(items, root, f"{pointer}/items", depth + 1)
        return f'"[" WS? ({item} (COMMA {item})*)? WS? "]"'

    def _object(self, schema: Mapping[str, Any], root: Any, pointer: str, depth: int) -> str:
        arguments = declared_arguments(schema)
        if self._strict:
            check_object({key: schema[key] for key in schema.keys() & OF_OBJECTS}, pointer)
        if arguments is None:
            others = schema.get("additionalProperties")
            value = self._value(others, root, f"{pointer}/additionalProperties", depth + 1)
            return f'"{{" WS? (STRING COLON {value} (COMMA STRING COLON {value})*)? WS? "}}"'
        if not arguments:
            return '"{" WS? "}"'
        self._objects += 1
        rule = f"object_{self._objects}"
        pairs = []
        for argument in arguments:
            value = self._value(argument.schema, root, f"{pointer}/properties/{argument.name}", depth + 1)
            keys = " | ".join(lark_string(text) for text in _spellings(argument.name))
            pairs.append(f"({keys}) COLON {value}")
        self._members(rule, arguments, pairs, "CLOSE")
        return f'"{{" WS? {rule}'

    def _check(self, schema: Mapping[str, Any], held: Collection[str], pointer: str) -> None:
        if self._strict:
            check_held(schema, held, pointer, "a Python literal")

    def _unknown(self, keyword: str, pointer: str) -> str:
        if self._strict:
            raise SchemaError(f"this server cannot hold a Python literal to {keyword}", pointer)
        return "literal"


def _spellings(value: Any) -> Iterator[str]:
    yield repr(value)
    if isinstance(value, str):
        yield json.dumps(value, ensure_ascii=False)


def _target(root: Any, reference: object) -> Any:
    """The schema that a local reference leads to, or None."""
    target = root
    for step in str(reference).removeprefix("#/").split("/"):
        target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) else None
    return target
