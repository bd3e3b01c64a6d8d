"""Objects that have the members that their schema declares, and no others."""

from __future__ import annotations

from typing import Any

from .json_schema import Schema, changed_inside, is_intersection, subschemas


def with_closed_objects(schema: Schema) -> Any:
    """A copy of `schema` in which objects with ``properties`` have no other members, unless it says that they may.

    JSON Schema allows others where nothing is said. A weak model would go on inventing them, and no client means it.
    Where schemas intersect, one may declare what another does not: they stay as they are.
    """
    if any(is_intersection(one) or _has_forms(one) for _, one in subschemas(schema)):
        return schema
    return _closed(schema)


def _has_forms(schema: Schema) -> bool:
    return "properties" in schema and bool(schema.keys() & {"anyOf", "oneOf", "not", "if", "dependentSchemas"})


def _closed(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    result = changed_inside(schema, _closed)
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, dict) or schema.keys() & {"patternProperties", "unevaluatedProperties"}:
        return result
    if not isinstance(required, list) or {str(name) for name in required} <= properties.keys():
        result.setdefault("additionalProperties", False)
    return result
