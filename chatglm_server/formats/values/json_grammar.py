"""JSON schemas that an answer must fit: what of them a grammar can hold an answer to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MOST_CHARACTERS = 200_000
"""Of a schema's text."""
MOST_PROPERTIES = 1000
"""Of all objects together: 1,000 take a third of a second to compile, and the time grows with the square."""
_MOST_SCHEMAS = 5000
_MOST_REFERENCES = 500
_MOST_DEPTH = 64
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
_BESIDE_REFERENCE = frozenset({"$ref", "$defs", "definitions", "title", "description", "default", "examples"})
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_HOLDERS = _MAPS | {
    *("anyOf", "oneOf", "allOf", "prefixItems", "items", "additionalItems", "additionalProperties"),
    *("not", "if", "then", "else", "contains"),
}
"""Keywords that hold schemas: those of `_MAPS` by name, the others one or a list."""
_REMARKS = frozenset({"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"})

Schema = Mapping[str, Any]


class SchemaError(ValueError):
    """A schema cannot be honoured; `pointer` is the place in it, and the message says the rest."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


def json_rule(schema: object, *, strict: bool) -> str:
    """A Lark expression for the JSON texts that fit `schema`.

    Without `strict`, what a grammar cannot express is left out of the schema. Objects have their keys in the order of
    the schema.

    Raises: SchemaError.
    """
    if isinstance(schema, bool):
        schema = {} if schema else {"anyOf": []}
    if not isinstance(schema, dict):
        raise SchemaError("a JSON schema is an object")
    _check(schema, strict=strict)
    options = {
        "whitespace_pattern": WHITESPACE,
        "json_allow_general_unicode_escapes": True,
        "lenient": not strict,
    }
    try:
        text = json.dumps(essential(schema) | {"x-guidance": options}, ensure_ascii=False, allow_nan=False)
    except (RecursionError, ValueError):
        raise SchemaError("it is nested too deep, or holds a number that JSON has no notation for") from None
    if len(text) > MOST_CHARACTERS:
        raise SchemaError(f"it has {len(text)} characters, and at most {MOST_CHARACTERS} are read")
    return f"%json {text}"


def subschemas(schema: object, pointer: str = "#", depth: int = 0) -> Iterator[tuple[str, Schema]]:
    """Yields the schema and those inside it, each with its JSON pointer. Raises: SchemaError if it is too deep."""
    if not isinstance(schema, dict):
        return
    if depth > _MOST_DEPTH:
        raise SchemaError(f"it is more than {_MOST_DEPTH} schemas deep", pointer)
    yield pointer, schema
    for keyword, inner in schema.items():
        if keyword not in _HOLDERS:
            continue
        place = f"{pointer}/{keyword}"
        if isinstance(inner, list):
            for number, one in enumerate(inner):
                yield from subschemas(one, f"{place}/{number}", depth + 1)
        elif keyword not in _MAPS:
            yield from subschemas(inner, place, depth + 1)
        elif isinstance(inner, dict):
            for name, one in inner.items():
                yield from subschemas(one, f"{place}/{_escaped(name)}", depth + 1)


def changed_inside(schema: Schema, change: Callable[[Any], Any]) -> dict[str, Any]:
    """A copy of `schema`, with what `change` returns in the place of each schema that stands directly in it."""
    result = dict(schema)
    for keyword in _HOLDERS & schema.keys():
        inner = schema[keyword]
        if isinstance(inner, list):
            result[keyword] = [change(one) for one in inner]
        elif keyword not in _MAPS:
            result[keyword] = change(inner)
        elif isinstance(inner, dict):
            result[keyword] = {name: change(one) for name, one in inner.items()}
    return result


def essential(schema: Any) -> Any:
    """A copy of a schema without what asks for nothing: remarks, and ``"uniqueItems": false``, which llguidance does
    not know.
    """
    if not isinstance(schema, dict):
        return schema
    result = changed_inside(schema, essential)
    for keyword in _REMARKS & schema.keys():
        del result[keyword]
    if schema.get("uniqueItems") is False:
        del result["uniqueItems"]
    return result


def is_intersection(schema: Schema) -> bool:
    """True if values fit several schemas at once."""
    return "allOf" in schema or ("$ref" in schema and not _BESIDE_REFERENCE.issuperset(schema))


def _check(schema: Schema, *, strict: bool) -> None:
    """Raises: SchemaError for a schema that is too large, and if `strict` for the first keyword that is not known."""
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


def _escaped(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")
