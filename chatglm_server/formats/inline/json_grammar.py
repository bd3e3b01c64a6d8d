"""The grammar of the JSON object behind a tool's name (GLM-4)."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence

from ...chat import Tool
from ..call_grammar import CallsAfterText
from ..values.argument_rules import BLANKS, declared_arguments, in_any_order
from ..values.json_grammar import SchemaError, json_rule
from .layout import FENCE

_END = r"END: /\}(\n?(```)?\n?)?/"  # tokens may hold more than the bracket


def json_calls(
    tools: Sequence[Tool], strict: Collection[str], loose: Collection[str], thought_end: str = ""
) -> CallsAfterText:
    """The grammars of calls of `tools`. Values of those in `strict` fit their schemas, those in `loose` are any.

    Raises: SchemaError.
    """
    names = "|".join(re.escape(tool.name) for tool in sorted(tools, key=lambda tool: -len(tool.name)))
    blanks = r"[ \t]{0,16}"
    head = re.compile(
        rf"(?:\A|\n){blanks}(?P<name>{names}){blanks}\r?\n\s{{0,16}}(?:{FENCE}\s{{0,64}})?(?P<body>\{{[^{{]{{0,64}})\Z"
    )
    grammars = {
        tool.name: "\n".join([*_object(tool, strict=tool.name in strict, loose=tool.name in loose), _END, BLANKS])
        for tool in tools
    }
    return CallsAfterText(head, "{", r"/\n/", grammars, thought_end)


def _object(tool: Tool, *, strict: bool, loose: bool) -> Iterator[str]:
    parameters = tool.function.get("parameters")
    yield "%llguidance {}"
    arguments = declared_arguments(parameters)
    if arguments is None:
        anything = loose or not isinstance(parameters, dict)
        yield f"start: {json_rule({'type': 'object'} if anything else parameters, strict=strict)}"
        return
    yield 'start: "{" WS? args'
    pairs = []
    for place, argument in enumerate(arguments):
        try:
            value = json_rule(True if loose else argument.schema, strict=strict)
        except SchemaError as error:
            raise SchemaError(str(error), f"#/properties/{argument.name}{error.pointer[1:]}") from None
        key = json.dumps(json.dumps(argument.name, ensure_ascii=False), ensure_ascii=False)
        yield f"pair_{place}: {key} COLON {value}"
        pairs.append(f"pair_{place}")
    needed = sum(argument.required for argument in arguments)
    yield from in_any_order("args", pairs, needed, end="WS? END", comma="COMMA")
