"""Rules that several parts of a grammar share. A grammar compiles in a time that grows with its rules."""

from __future__ import annotations

from collections.abc import Iterator


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
