"""The grammar of a call that is a tool's name and a JSON object (GLM-4)."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from ...chat import Tool
from ..call_grammar import CallGrammar, CallsAfterText
from ..values.argument_rules import BLANKS, declared_arguments, in_any_order
from ..values.assertions import check_object
from ..values.call_rules import CallRules
from ..values.input_forms import input_parameters
from ..values.json_grammar import WHITESPACE
from ..values.json_schema import SchemaError
from ..values.json_values import json_pair
from ..values.lark import lark_string
from .layout import FENCE, line_of

_BETWEEN = "\n"
_END = rf"END: /({WHITESPACE})?\}}(\n?(```)?\n?)?/"  # tokens may hold more than the bracket


def json_beginning(tools: Sequence[Tool], strict: Collection[str], thought_end: str = "") -> CallsAfterText:
    """How calls of `tools` begin. If any is in `strict`, they are held from before the bracket on, because a token may
    hold more than the bracket.
    """
    line = line_of(tool.name for tool in tools)
    if strict:
        head = re.compile(rf"{line}(?P<body>\{{[^{{]{{0,64}})?\Z")
        return CallsAfterText(head, "\n{", _BETWEEN, thought_end, opening="{")
    head = re.compile(rf"{line}\s{{0,16}}(?:{FENCE}\s{{0,64}})?(?P<body>\{{[^{{]{{0,64}})\Z")
    return CallsAfterText(head, "{", _BETWEEN, thought_end)


def json_calls(tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> CallGrammar:
    """The grammar of calls of `tools`. Values of those in `strict` fit their schemas, those in `loose` are any.

    Raises: SchemaError.
    """
    calls = _Calls()
    for tool in tools:
        calls.add(tool, strict=tool.name in strict, loose=tool.name in loose)
    return calls.grammar(_END, BLANKS)


class _Calls(CallRules):
    """The grammar of a call of any of the tools that were added."""

    def add(self, tool: Tool, *, strict: bool, loose: bool) -> None:
        """Mutates the grammar. Raises: SchemaError."""
        call = self._begin_call()
        head = tool.name + _BETWEEN
        parameters = input_parameters(tool)
        if not isinstance(parameters, dict):
            parameters = {"type": "object"}
        arguments = declared_arguments(parameters)
        if arguments is None:
            schema = {"type": "object"} if loose else parameters
            self._lines.append(f"{call}: {lark_string(head)} {self._values.name(schema, strict=strict)}")
            return
        if strict:
            check_object(parameters, "#")
        self._lines.append(f"{call}: {lark_string(f'{head}{{')} WS? {call}_args")
        pairs = []
        for argument in arguments:
            try:
                value = self._values.name(True if loose else argument.schema, strict=strict)
            except SchemaError as error:
                raise SchemaError(str(error), f"#/properties/{argument.name}{error.pointer[1:]}") from None
            pairs.append(self._pairs.name(json_pair(argument.name, value)))
        needed = sum(argument.required for argument in arguments)
        self._lines += in_any_order(f"{call}_args", pairs, needed, end="END", comma="COMMA")
