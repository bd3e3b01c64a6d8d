"""The arguments of a call as Lark rules: each at most once, in any order, the required ones present."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any, TypeGuard

from .json_grammar import WHITESPACE
from .json_schema import SchemaError, subschemas

BLANKS = rf"""WS: /{WHITESPACE}/
COMMA: /,({WHITESPACE})?/
COLON: /:({WHITESPACE})?/
CLOSE: /({WHITESPACE})?\}}/
"""
"""Terminals for what stands between the tokens of JSON and of Python literals."""

_MOST_WRITTEN_OUT = 2
_MOST_IN_ANY_ORDER = 60  # a rule of llguidance carries 64 bits


@dataclass(frozen=True, slots=True)
class Argument:
    """A declared argument; `schema` stands alone: it has the definitions of the schema around it."""

    name: str
    schema: Any
    required: bool


def declared_arguments(parameters: object) -> list[Argument] | None:
    """The arguments that a tool's `parameters` declare, the required ones first; None if they may be any."""
    if not isinstance(parameters, dict) or parameters.keys() & {"$ref", "anyOf", "oneOf", "allOf"}:
        return None
    properties = parameters.get("properties")
    if not isinstance(properties, dict):
        return [] if parameters.get("additionalProperties") is False else None
    definitions = {key: parameters[key] for key in ("$defs", "definitions") if key in parameters}
    required = parameters.get("required")
    needed = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    arguments = [
        Argument(str(name), {**schema, **definitions} if definitions and _refers(schema) else schema, name in needed)
        for name, schema in properties.items()
    ]
    return sorted(arguments, key=lambda argument: not argument.required)


def _refers(schema: object) -> TypeGuard[dict[str, Any]]:
    try:
        return any("$ref" in one for _, one in subschemas(schema))
    except SchemaError:  # it is too deep, as its reader finds out
        return False


def in_any_order(rule: str, pairs: Sequence[str], required: int, *, end: str = '""', comma: str = "") -> Iterator[str]:
    """Yields the lines of `rule`: some of `pairs`, each once, the first `required` of them in any case; then `end`.

    `comma` stands between them. More pairs than a rule can count keep their order.
    """
    if len(pairs) <= _MOST_WRITTEN_OUT:
        orders = [order for count in range(required, len(pairs) + 1) for order in permutations(pairs, count)]
        complete = [order for order in orders if set(pairs[:required]).issubset(order)]
        yield f"{rule}: " + " | ".join(f"{f' {comma} '.join(order)} {end}" for order in complete)
        return
    if len(pairs) > _MOST_IN_ANY_ORDER:
        yield from _in_order(rule, pairs, required, end, comma)
        return
    # Two rules: one for a pair that has to follow, one for what follows a pair.
    pair, rest = f"{rule}_pair", f"{rule}_rest"
    yield f"{rule}: {pair}::0x0" if required else f"{rule}: {end} | {pair}::0x0"
    yield f"{pair}::_: " + "\n  | ".join(
        f"{name} {rest}::set_bit({bit}) %if bit_clear({bit})" for bit, name in enumerate(pairs)
    )
    if_complete = f" %if is_ones([0:{required}])" if required else ""
    yield f"{rest}::_: {end}{if_complete}\n  | {comma} {pair}::_ %if bit_count_lt(_, {len(pairs)})"


def _in_order(rule: str, pairs: Sequence[str], required: int, end: str, comma: str) -> Iterator[str]:
    yield f"{rule}: {rule}_0"
    for place, pair in enumerate(pairs):
        skipped = "" if place < required else f"\n  | {rule}_{place + 1}"
        rest = f"{rule}_{place + 1}c" if comma else f"{rule}_{place + 1}"
        yield f"{rule}_{place}: {pair} {rest}{skipped}"
        if comma:
            skipped = "" if place < required else f"\n  | {rule}_{place + 1}c"
            yield f"{rule}_{place}c: {comma} {pair} {rest}{skipped}"
    yield f"{rule}_{len(pairs)}: {end}"
    if comma:
        yield f"{rule}_{len(pairs)}c: {end}"
