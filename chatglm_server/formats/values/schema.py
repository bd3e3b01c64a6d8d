"""Reads the arguments' names, types and requirement from a tool's JSON schema."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

ANY_TYPE = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
_MAX_ALTERNATIVES = 64
_MAX_STEPS = 2000
_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Alternative:
    """One kind of value that a schema allows: it has one of `types`, and is one of `values` unless that is None."""

    types: frozenset[str] = ANY_TYPE
    values: tuple[Any, ...] | None = None

    def allows(self, value: Any) -> bool:
        """True if `value` is of this kind."""
        if not json_types(value) & self.types:
            return False
        return self.values is None or any(_same(value, allowed) for allowed in self.values)


Alternatives = tuple[Alternative, ...]
ANYTHING: Alternatives = (Alternative(),)


@dataclass(frozen=True, slots=True)
class Variant:
    """One form that a tool's arguments may have."""

    properties: Mapping[str, Alternatives]
    required: frozenset[str]


class ArgumentSchema:
    """A tool's `parameters`, resolved: local references followed, anyOf, oneOf and allOf taken apart.

    What cannot be resolved (remote or circular references, more than `_MAX_ALTERNATIVES` combinations) allows
    anything: the schema is used to read values, not to refuse them. `root` is the schema that local references point
    into, if it is not `parameters`.
    """

    def __init__(self, parameters: object, root: object = None) -> None:
        self._root = parameters if root is None else root
        self._steps = 0
        self.properties: dict[str, object] = {}
        """The schema of each argument, as it was declared first."""
        self.variants = self._variants(parameters, 0)

    def object_of(self, name: str) -> ArgumentSchema:
        """Returns the schema of the members of the argument `name`, which is an object."""
        return ArgumentSchema(self.properties.get(name), self._root)

    @property
    def names(self) -> frozenset[str]:
        """The declared arguments; empty if nothing is known of them."""
        return frozenset(name for variant in self.variants for name in variant.properties)

    def satisfied(self, names: Container[str]) -> bool:
        """True if all required arguments are among `names`."""
        return any(all(name in names for name in variant.required) for variant in self.variants)

    def _variants(self, schema: object, depth: int) -> list[Variant]:
        nothing = [Variant({}, frozenset())]
        if not isinstance(schema, dict) or self._exhausted(depth):
            return nothing
        properties = schema.get("properties")
        if isinstance(properties, dict):
            for name, property in properties.items():
                self.properties.setdefault(str(name), property)
        own = Variant(
            {
                str(name): self._alternatives(property, depth + 1)
                for name, property in (properties if isinstance(properties, dict) else {}).items()
            },
            frozenset(name for name in _list(schema.get("required")) if isinstance(name, str)),
        )
        parts = [[own]]
        if "$ref" in schema:
            parts.append(self._variants(self._target(schema["$ref"]), depth + 1))
        parts += [self._variants(part, depth + 1) for part in _list(schema.get("allOf"))]
        for keyword in ("anyOf", "oneOf"):
            branches = _list(schema.get(keyword))
            if branches:
                parts.append([variant for branch in branches for variant in self._variants(branch, depth + 1)])
        if _too_many(parts):
            return nothing
        return [_merged(combination) for combination in product(*parts)]

    def _alternatives(self, schema: object, depth: int) -> Alternatives:
        if not isinstance(schema, dict) or self._exhausted(depth):
            return ANYTHING
        types = declared_types(schema)
        values = tuple(_list(schema.get("enum"))) or None
        if "const" in schema:
            values = (schema["const"],)
        parts: list[Alternatives] = [(Alternative(types, values),)]
        if "$ref" in schema:
            parts.append(self._alternatives(self._target(schema["$ref"]), depth + 1))
        parts += [self._alternatives(part, depth + 1) for part in _list(schema.get("allOf"))]
        for keyword in ("anyOf", "oneOf"):
            branches = _list(schema.get(keyword))
            if branches:
                parts.append(tuple(one for branch in branches for one in self._alternatives(branch, depth + 1)))
        if _too_many(parts):
            return ANYTHING
        met = (_intersection(combination) for combination in product(*parts))
        return tuple(one for one in met if one.types) or ANYTHING

    def _target(self, reference: object) -> object:
        """Returns the target of a local reference (``#/$defs/name``), or None."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        target: object = self._root
        for step in reference[1:].split("/")[1:]:
            step = step.replace("~1", "/").replace("~0", "~")
            target = target.get(step) if isinstance(target, dict) else None
        return target

    def _exhausted(self, depth: int) -> bool:
        self._steps += 1
        return depth > _MAX_DEPTH or self._steps > _MAX_STEPS


def json_types(value: Any) -> frozenset[str]:
    """Returns the JSON schema types of a value. A number without a fraction is an integer, too."""
    if isinstance(value, bool):
        return frozenset({"boolean"})
    if isinstance(value, int):
        return frozenset({"integer", "number"})
    if isinstance(value, float):
        return frozenset({"number", "integer"} if value.is_integer() else {"number"})
    kinds: dict[type, str] = {str: "string", dict: "object", list: "array", type(None): "null"}
    return frozenset({kinds[type(value)]})


def declared_types(schema: Mapping[str, Any]) -> frozenset[str]:
    """The types that a schema allows: all, if it names none."""
    declared = schema.get("type")
    names = {declared} if isinstance(declared, str) else {name for name in _list(declared) if isinstance(name, str)}
    if not names and "type" not in schema:
        names = {"object"} if "properties" in schema else {"array"} if "items" in schema else set()
    if "number" in names:
        names.add("integer")
    types = frozenset(names) & ANY_TYPE
    if not types or names - ANY_TYPE:  # no type is given, or an unknown one
        return ANY_TYPE
    return types | {"null"} if schema.get("nullable") is True else types


def _intersection(parts: Iterable[Alternative]) -> Alternative:
    types: frozenset[str] = ANY_TYPE
    values: tuple[Any, ...] | None = None
    for part in parts:
        types &= part.types
        if values is None:
            values = part.values
        elif part.values is not None:
            values = tuple(value for value in values if part.allows(value))
    return Alternative(types, values)


def _merged(parts: Iterable[Variant]) -> Variant:
    properties: dict[str, Alternatives] = {}
    required: frozenset[str] = frozenset()
    for part in parts:
        for name, alternatives in part.properties.items():
            if properties.get(name, ANYTHING) == ANYTHING:
                properties[name] = alternatives
        required |= part.required
    return Variant(properties, required)


def _too_many(parts: Iterable[Any]) -> bool:
    combinations = 1
    for part in parts:
        combinations *= len(part)
    return combinations > _MAX_ALTERNATIVES


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _same(value: Any, other: Any) -> bool:
    """True if two values are equal in JSON, which keeps `true` and 1 apart."""
    return bool(value == other) and isinstance(value, bool) == isinstance(other, bool)
