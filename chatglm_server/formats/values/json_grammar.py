"""JSON schemas that an answer must fit: what of them a grammar can hold an answer to."""

from __future__ import annotations

import json

from .closed_objects import with_closed_objects
from .json_schema import Schema, SchemaError, essential, is_intersection, subschemas

MOST_CHARACTERS = 200_000
"""Of a schema's text."""
MOST_PROPERTIES = 1000
"""Of all objects together: 1,000 take a third of a second to compile, and the time grows with the square."""
_MOST_SCHEMAS = 5000
_MOST_REFERENCES = 500
_MOST_PATTERNS = 8  # where schemas intersect: each further one doubles the time, and no limit ends it
_LARGEST_INTEGER = 2**53  # llguidance reads larger ones as floats

WHITESPACE = r"\n[ \t]{0,40}| "
"""Between the tokens of JSON: nothing, a blank, or one line break with an indentation. A weak model would go on
writing blanks for ever."""

_UNSUPPORTED = frozenset(
    {
        *("not", "if", "then", "else", "propertyNames", "uniqueItems", "contains", "minContains", "maxContains"),
        *("dependentRequired", "dependentSchemas", "dependencies", "unevaluatedItems", "unevaluatedProperties"),
        *("$dynamicRef", "$recursiveRef"),
    }
)
_FORMATS = frozenset(
    {
        *("date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "unknown"),
    }
)


def json_rule(schema: object, *, strict: bool) -> str:
    """A Lark expression for the JSON texts that fit `schema`.

    Without `strict`, what a grammar cannot express is left out of the schema. Objects have their keys in the order of
    the schema, and no others unless it says that they may.

    Raises: SchemaError.
    """
    check_schema(schema, strict=strict)
    return checked_rule(schema, strict=strict)


def checked_rule(schema: object, *, strict: bool) -> str:
    """As `json_rule`, for a schema that `check_schema` has passed, or a part of one. Raises: SchemaError."""
    if not isinstance(schema, dict):
        schema = {} if schema else {"anyOf": []}
    options = {
        "whitespace_pattern": WHITESPACE,
        "json_allow_general_unicode_escapes": True,
        "lenient": not strict,
    }
    try:
        wanted = with_closed_objects(essential(schema))
        text = json.dumps(wanted | {"x-guidance": options}, ensure_ascii=False, allow_nan=False)
    except (RecursionError, ValueError):
        raise SchemaError("it is nested too deep, or holds a number that JSON has no notation for") from None
    if len(text) > MOST_CHARACTERS:
        raise SchemaError(f"it has {len(text)} characters, and at most {MOST_CHARACTERS} are read")
    return f"%json {text}"


def check_schema(schema: object, *, strict: bool) -> None:
    """Raises: SchemaError for what is no schema, or too large, and if `strict` for the first unknown keyword."""
    if not isinstance(schema, (dict, bool)):
        raise SchemaError("a JSON schema is an object")
    properties = references = patterns = 0
    intersects = False
    for schemas, (pointer, one) in enumerate(subschemas(schema)):
        inner = one.get("properties")
        properties += len(inner) if isinstance(inner, dict) else 0
        references += "$ref" in one
        if properties > MOST_PROPERTIES:
            raise SchemaError(f"properties: more than {MOST_PROPERTIES} in all", pointer)
        if schemas > _MOST_SCHEMAS or references > _MOST_REFERENCES:
            raise SchemaError(f"more than {_MOST_SCHEMAS} schemas or {_MOST_REFERENCES} references", pointer)
        inner = one.get("patternProperties")
        patterns += ("pattern" in one) + (len(inner) if isinstance(inner, dict) else 0)
        intersects = intersects or is_intersection(one)
        if intersects and patterns > _MOST_PATTERNS:
            raise SchemaError(f"more than {_MOST_PATTERNS} patterns beside an allOf, or a $ref with siblings", pointer)
        if strict:
            _check_keywords(one, pointer)


def _check_keywords(schema: Schema, pointer: str) -> None:
    for keyword, value in schema.items():
        if keyword in _UNSUPPORTED and not (keyword == "uniqueItems" and value is False):
            raise SchemaError(f'this server cannot hold an answer to the keyword "{keyword}"', pointer)
    values = schema.get("enum")
    for value in (schema.get("const"), *(values if isinstance(values, list) else ())):
        if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
            raise SchemaError(f"this server cannot hold an answer to a number beyond {_LARGEST_INTEGER}", pointer)
    form = schema.get("format")
    if isinstance(form, str) and schema.get("type") == "string" and form not in _FORMATS:
        raise SchemaError(f"this server does not know the format {form[:64]!r}", pointer)
