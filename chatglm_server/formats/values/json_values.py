"""Rules for the JSON values in calls."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .argument_rules import declared_arguments, in_any_order
from .bounded_numbers import with_bounded_numbers
from .closed_objects import with_closed_objects
from .json_grammar import check_schema, checked_rule
from .json_schema import SchemaError, essential, subschemas
from .lark import lark_json_string
from .shared_rules import SharedRules

_OF_OBJECTS = frozenset({"type", "properties", "required", "additionalProperties"})
_OF_ARRAYS = frozenset({"type", "items"})
_OF_CHOICES = frozenset({"type", "enum"})
_UNIT = r"\\u([0-9a-ce-fA-CE-F][0-9a-fA-F]{3}|[dD][0-7][0-9a-fA-F]{2})"
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_STRING = rf"""JSON_STRING: /"([^"\\\x00-\x1f\x7f]|\\["\\\/bfnrt]|{_UNIT}|{_PAIR})*"/"""
"""Any string, with all of JSON's escapes: llguidance's own has no ``\\/``. Half a surrogate pair is no character."""


class JsonValues:
    """The rules for JSON values, one for each schema that asks for something else. They use the terminals of `BLANKS`.

    Plain objects, arrays and choices are rules over those of their parts, which they share: llguidance's own rules for
    a schema, which are for everything else, take ten times as long to compile. An object has its members in any order.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], str] = {}
        self._rules = SharedRules("value")
        self._pairs = SharedRules("member")
        self._members: list[str] = []
        self._foreign: set[str] = set()

    def name(self, schema: Any, *, strict: bool) -> str:
        """The name of the rule for values that fit `schema`. Mutates the rules.

        With `strict`, a parser can read every value, large numbers too. Raises: SchemaError.
        """
        try:
            check_schema(schema, strict=strict)
            return self._name(essential(schema), strict)
        except RecursionError:
            raise SchemaError("it is nested too deep") from None

    @property
    def foreign(self) -> frozenset[str]:
        """The expressions that are clients' schemas as they are."""
        return frozenset(self._foreign)

    def lines(self) -> Iterator[str]:
        """Yields the grammar's lines."""
        yield from self._rules.lines()
        yield from self._pairs.lines()
        yield from self._members
        yield _STRING

    def _name(self, schema: Any, strict: bool) -> str:
        key = json.dumps(schema), strict
        if key not in self._known:
            self._known[key] = self._rules.name(self._expression(schema, strict))
        return self._known[key]

    def _expression(self, schema: Any, strict: bool) -> str:
        if _is_plain_object(schema):
            return f'"{{" WS? {self._object(schema, strict)}'
        if _is_plain_array(schema):
            item = self._name(schema["items"], strict)
            return f'"[" WS? ({item} (COMMA {item})*)? WS? "]"'
        if _is_plain_choice(schema):
            return " | ".join(map(lark_json_string, schema["enum"]))
        if schema == {"type": "string"}:
            return "JSON_STRING"
        if strict:
            schema = with_bounded_numbers(with_closed_objects(schema))
        rule = checked_rule(schema, strict=strict)
        self._foreign.add(rule)
        return rule

    def _object(self, schema: Any, strict: bool) -> str:
        """The name of the rule for what follows the object's opening bracket."""
        members = declared_arguments(schema) or []
        pairs = [self._pairs.name(json_pair(member.name, self._name(member.schema, strict))) for member in members]
        required = sum(member.required for member in members)
        rule = f"members_{len(self._known)}"
        self._members += in_any_order(rule, pairs, required, end="CLOSE", comma="COMMA")
        return rule


def json_pair(name: str, value: str) -> str:
    """A Lark expression for a member of a JSON object: its name, and the rule `value`."""
    return f"{lark_json_string(name)} COLON {value}"


def _is_plain_object(schema: Any) -> bool:
    """True for an object that has the declared members and no others."""
    if not isinstance(schema, dict) or schema.get("type") != "object" or not _OF_OBJECTS.issuperset(schema):
        return False
    properties, required = schema.get("properties"), schema.get("required", [])
    return (
        isinstance(properties, dict)
        and bool(properties)
        and all(one is True or isinstance(one, dict) for one in properties.values())
        and isinstance(required, list)
        and all(isinstance(name, str) and name in properties for name in required)
        and schema.get("additionalProperties", False) is False
        and _stands_alone(schema)
    )


def _is_plain_array(schema: Any) -> bool:
    return (
        isinstance(schema, dict)
        and schema.get("type") == "array"
        and _OF_ARRAYS.issuperset(schema)
        and isinstance(schema.get("items"), dict)
        and _stands_alone(schema)
    )


def _is_plain_choice(schema: Any) -> bool:
    """True for a choice among strings."""
    if not isinstance(schema, dict) or not _OF_CHOICES.issuperset(schema) or schema.get("type", "string") != "string":
        return False
    values = schema.get("enum")
    return isinstance(values, list) and bool(values) and all(isinstance(value, str) for value in values)


def _stands_alone(schema: Any) -> bool:
    """True if no part of the schema refers to another."""
    return not any("$ref" in one for _, one in subschemas(schema))
