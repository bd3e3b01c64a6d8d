"""Rules that the calls of several tools share. A grammar compiles in a time that grows with its rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .bounded_numbers import with_bounded_numbers
from .closed_objects import with_closed_objects
from .json_grammar import json_rule
from .json_schema import SchemaError, essential


class SharedRules:
    """Rules of a grammar, one for each expression that differs."""

    def __init__(self, prefix: str) -> None:
        """`prefix` begins their names."""
        self._prefix = prefix
        self._names: dict[str, str] = {}

    def name(self, expression: str) -> str:
        """The name of the rule for the Lark text `expression`. Mutates the rules."""
        return self._names.setdefault(expression, f"{self._prefix}_{len(self._names)}")

    def lines(self) -> Iterator[str]:
        """Yields the grammar's lines."""
        for expression, name in self._names.items():
            yield f"{name}: {expression}"


class JsonValues:
    """The rules for JSON values, one for each schema that asks for something else."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, bool], str] = {}
        self._rules = SharedRules("value")

    def name(self, schema: Any, *, strict: bool) -> str:
        """The name of the rule for values that fit `schema`. Mutates the rules.

        With `strict`, a parser can read every value, large numbers too. Raises: SchemaError.
        """
        try:
            wanted = essential(schema)
            key = json.dumps(wanted), strict
        except RecursionError:
            raise SchemaError("it is nested too deep") from None
        if key not in self._known:
            if strict:
                wanted = with_bounded_numbers(with_closed_objects(wanted))
            rule = json_rule(wanted, strict=strict)
            self._known[key] = self._rules.name(rule)
        return self._known[key]

    def lines(self) -> Iterator[str]:
        """Yields the grammar's lines."""
        return self._rules.lines()


class CallRules:
    """The grammar of a call of any of some tools: a rule for each tool's call, and the rules that calls share."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._lines: list[str] = []
        self._pairs = SharedRules("pair")
        self._values = JsonValues()

    def _begin_call(self) -> str:
        """The name of the rule for one more tool's call. Mutates the grammar."""
        self._names.append(f"call_{len(self._names)}")
        return self._names[-1]

    def grammar(self, *terminals: str) -> str:
        """Lark text. `terminals` are what the rules use beside each other."""
        start = f"start: {' | '.join(self._names)}"
        rules = (*self._lines, *self._pairs.lines(), *self._values.lines())
        return "\n".join(["%llguidance {}", start, *rules, *terminals])
