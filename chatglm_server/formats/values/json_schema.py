"""JSON schemas, and the schemas inside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

_MOST_DEPTH = 64
_MAPS = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_HOLDERS = _MAPS | {
    *("anyOf", "oneOf", "allOf", "prefixItems", "items", "additionalItems", "additionalProperties"),
    *("not", "if", "then", "else", "contains"),
}
"""Keywords that hold schemas: those of `_MAPS` by name, the others one or a list."""
_REMARKS = frozenset({"title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"})
_BESIDE_REFERENCE = _REMARKS | {"$ref", "$defs", "definitions"}

Schema = Mapping[str, Any]


class SchemaError(ValueError):
    """A schema cannot be honoured; `pointer` is the place in it, and the message says the rest."""

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.pointer = pointer


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


def _escaped(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")
