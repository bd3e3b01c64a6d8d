"""The grammar of a call of any of some tools."""

from __future__ import annotations

from ..call_grammar import CallGrammar
from .json_values import JsonValues
from .shared_rules import SharedRules


class CallRules:
    """A rule for each tool's call, and the rules that calls share."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._lines: list[str] = []
        self._pairs = SharedRules("pair")
        self._values = JsonValues()
        self._others: set[str] = set()

    def _begin_call(self) -> str:
        """The name of the rule for one more tool's call. Mutates the grammar."""
        self._names.append(f"call_{len(self._names)}")
        return self._names[-1]

    def _foreign(self, expression: str) -> str:
        """`expression`, which comes from a client's schema as it is. Mutates the grammar."""
        self._others.add(expression)
        return expression

    def grammar(self, *terminals: str) -> CallGrammar:
        """`terminals` are what the rules use beside each other."""
        start = f"start: {' | '.join(self._names)}"
        rules = (*self._lines, *self._pairs.lines(), *self._values.lines())
        text = "\n".join(["%llguidance {}", start, *rules, *terminals])
        return CallGrammar(text, self._values.foreign | self._others)
