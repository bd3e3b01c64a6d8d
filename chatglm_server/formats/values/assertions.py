"""The keywords of JSON Schema that ask something of a value, by the type that they are about."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from .json_schema import SchemaError

OF_OBJECTS = frozenset(
    {
        *("properties", "patternProperties", "additionalProperties", "required", "propertyNames"),
        *("minProperties", "maxProperties", "dependentRequired", "dependentSchemas", "dependencies"),
        "unevaluatedProperties",
    }
)
OF_ARRAYS = frozenset(
    {
        *("items", "prefixItems", "additionalItems", "contains", "minContains", "maxContains"),
        *("minItems", "maxItems", "uniqueItems", "unevaluatedItems"),
    }
)
OF_STRINGS = frozenset({"minLength", "maxLength", "pattern", "format"})
OF_NUMBERS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
OF_ANY = frozenset({"enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "then", "else", "$ref", "$dynamicRef"})
ASSERTIONS = OF_OBJECTS | OF_ARRAYS | OF_STRINGS | OF_NUMBERS | OF_ANY | {"type"}


def check_held(schema: Mapping[str, Any], held: Collection[str], pointer: str, noun: str) -> None:
    """Raises: SchemaError if `schema` asks more of a value, which is a `noun`, than by the keywords `held`."""
    for keyword, value in schema.items():
        if keyword in ASSERTIONS and keyword not in held and not (keyword == "uniqueItems" and value is False):
            raise SchemaError(f'this server cannot hold {noun} to the keyword "{keyword}"', pointer)


def check_object(schema: Mapping[str, Any], pointer: str) -> None:
    """Raises: SchemaError if `schema` asks more of an object than some members, which are required or not."""
    check_held(schema, {"type", "properties", "additionalProperties", "required"}, pointer, "these members")
    properties, required = schema.get("properties"), schema.get("required")
    for name in required if isinstance(required, list) else ():
        if not isinstance(properties, dict) or str(name) not in properties:
            raise SchemaError(f"required: {str(name)[:64]!r} is not among the properties", pointer)
