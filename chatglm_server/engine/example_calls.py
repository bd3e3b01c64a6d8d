"""Calls that nobody makes, so that the masks of real ones come soon.

llguidance builds the automaton of a grammar where a mask first needs it: the first masks in a string, behind a
backslash or in a number take 0.2 ms, and less than half of that when they come again. Answers share the automaton.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..chat import Message, Tool, ToolCall
from ..decoding.constraints.grammars import Grammars
from ..decoding.constraints.triggered import Trigger, TriggeredGrammar
from ..formats.base import THINK_END, CannotRender, ChatFormat, Prompt
from ..model_files.tokenizer import Tokenizer, encode_prompt

_MOST_DEPTH = 4
_MOST_MEMBERS = 16  # of an object
_MOST_CHARACTERS = 4_000  # of a call's arguments
_MOST_TOKENS = 400  # of a call
_TEXT = "a\n'b\""
"""In any dialect it is plain text, then what stands behind a backslash, then plain text again."""
_NUMBER = 346.12


def example_call(tool: Tool) -> ToolCall:
    """A call with every argument. It fits most schemas; none of what they demand of a text or an array is looked at."""
    return ToolCall("1", tool.name, _object(tool.function.get("parameters"), 0))


def example_answer(call: ToolCall, chat_format: ChatFormat, tokenizer: Tokenizer) -> list[int]:
    """The tokens of an answer that ends a thought and is the call; none if it is long, or cannot be written."""
    if len(json.dumps(call.arguments)) > _MOST_CHARACTERS:
        return []
    try:
        prompt = chat_format.render([Message("assistant", "", tool_calls=(call,))])
    except CannotRender:
        return []
    return encode_prompt(tokenizer, Prompt((f"{THINK_END}\n", *prompt.pieces)))[:_MOST_TOKENS]


def walk(tokens: Sequence[int], trigger: Trigger, grammars: Grammars) -> None:
    """Compute the masks of an answer, as far as it fits the grammar that `trigger` finds. Raises: GrammarError."""
    constraint = TriggeredGrammar(trigger, once=True)
    for token in tokens:
        try:
            if not constraint.free:
                constraint.fill(grammars.mask())
            constraint.accept([token])
        except RuntimeError:  # the example has no other value for the schema, or is at its end
            return


def _object(schema: object, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or depth > _MOST_DEPTH:
        return {}
    return {name: _value(one, depth + 1) for name, one in list(properties.items())[:_MOST_MEMBERS]}


def _value(schema: object, depth: int) -> Any:
    """A value that fits most schemas like this one."""
    if not isinstance(schema, Mapping) or depth > _MOST_DEPTH:
        return _TEXT
    for keyword in ("enum", "anyOf", "oneOf"):
        choices = schema.get(keyword)
        if isinstance(choices, list) and choices:
            return choices[0] if keyword == "enum" else _value(choices[0], depth + 1)
    if "const" in schema:
        return schema["const"]
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        return _object(schema, depth)
    if kind == "array":
        return [_value(schema.get("items"), depth + 1)] * (2 if depth <= 2 else 1)
    if kind in ("integer", "number"):
        return _number(schema, whole=kind == "integer")
    return {"boolean": True, "null": None}.get(str(kind), _TEXT)


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    """The example, or the bound that it is beyond."""
    number: float = int(_NUMBER) if whole else _NUMBER
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(high, int | float):
        number = min(number, high)
    return max(number, low) if isinstance(low, int | float) else number
