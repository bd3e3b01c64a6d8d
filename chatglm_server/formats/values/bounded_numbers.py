"""Schemas whose numbers a parser can read: no float holds 1e999, and Python reads no integer of 5,000 digits."""

from __future__ import annotations

from typing import Any

from .json_schema import changed_inside, is_intersection, subschemas

_LARGEST = 9 * 10**18
"""llguidance counts in 64 bits, and writes no range that ends where they do."""
_ANY = "any_value_with_bounded_numbers"
_ANY_REFERENCE = {"$ref": f"#/$defs/{_ANY}"}
_ANY_VALUE = {
    "anyOf": [
        {"type": ["string", "boolean", "null"]},
        {"type": "number", "minimum": -_LARGEST, "maximum": _LARGEST},
        {"type": "array", "items": _ANY_REFERENCE},
        {"type": "object", "additionalProperties": _ANY_REFERENCE},
    ]
}


def with_bounded_numbers(schema: Any) -> Any:
    """A copy in which every number has a minimum and a maximum: where none is given, nine quintillions.

    llguidance writes numbers within bounds without an exponent. Where schemas intersect, values of any kind stay as
    they are: it cannot intersect schemas that refer to themselves.
    """
    if any(is_intersection(one) for _, one in subschemas(schema)):
        return _bounded(schema, anything=None)
    result = _bounded(schema, anything=_ANY_REFERENCE)
    if any(one.get("$ref") == _ANY_REFERENCE["$ref"] for _, one in subschemas(result)):
        definitions = result.get("$defs")
        result = {**result, "$defs": {**(definitions if isinstance(definitions, dict) else {}), _ANY: _ANY_VALUE}}
    return result


def _bounded(schema: Any, anything: Any) -> Any:
    """`anything` takes the place of schemas for values of any kind, unless it is None."""
    if schema is True or schema == {}:
        return schema if anything is None else anything
    if not isinstance(schema, dict):
        return schema
    result = changed_inside(schema, lambda inner: _bounded(inner, anything))
    declared = schema.get("type")
    types = declared if isinstance(declared, list) else [declared]
    if ("number" in types or "integer" in types) and not schema.keys() & {"enum", "const"}:
        if "exclusiveMinimum" not in schema:
            result.setdefault("minimum", -_LARGEST)
        if "exclusiveMaximum" not in schema:
            result.setdefault("maximum", _LARGEST)
    if anything is not None and "object" in types:
        result.setdefault("additionalProperties", anything)
    if anything is not None and "array" in types:
        result.setdefault("items", anything)
    return result
