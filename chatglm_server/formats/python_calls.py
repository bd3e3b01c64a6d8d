"""Arguments out of what a model wrote: a Python call, a JSON object, or code. Read with `ast`, never run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from .arguments import NotAnObject, is_json_number, load_object
from .brackets import BracketScanner

_CALL = re.compile(r"[^\s({]+\s*\(", re.UNICODE)
_KEYWORD = re.compile(r"\s*(?:(?P<quote>['\"])(?P<quoted>[^'\"=]+)(?P=quote)|(?P<name>[^\s'\"=(){}\[\],]+))\s*=(?!=)")
_CONSTANTS: dict[str, Any] = {"true": True, "false": False, "null": None}
_FENCE = re.compile(r"^\s*```\w*[ \t]*\r?\n?")


def read_python_call(text: str) -> dict[str, Any]:
    """Arguments of ``tool_call(name=literal, …)``, or of a JSON object in its place.

    Any argument name is accepted (``from`` and ``max-items`` are no Python names, yet models write them); values must
    be literals; the first of a repeated name counts.

    Raises: NotAnObject for anything else: positional values, arithmetic, names, calls.
    """
    text = _FENCE.sub("", text, count=1).strip()
    if text.startswith("{"):
        return read_json_call(text)
    head = _CALL.match(text)
    if head is None or not text.endswith(")"):
        raise NotAnObject("no call")
    inner = text[head.end() : -1].strip()
    if inner.startswith("{") and inner.endswith("}"):
        return read_json_call(inner)
    arguments: dict[str, Any] = {}
    for part in _split_arguments(inner):
        keyword = _KEYWORD.match(part)
        if keyword is None:
            raise NotAnObject("a value without a name")
        name = keyword["quoted"] or keyword["name"]
        arguments.setdefault(name, _literal(part[keyword.end() :]))
    return arguments


def read_json_call(text: str) -> dict[str, Any]:
    """Arguments as a JSON object, or as a Python dict of literals (single quotes, True, None).

    Raises: NotAnObject.
    """
    text = _FENCE.sub("", text, count=1).strip()
    try:
        return load_object(text)
    except NotAnObject:
        value = _literal(text)
        if not isinstance(value, dict):
            raise
        return value


def read_interpreter_call(text: str) -> str:
    """The code inside a fenced block whose closing fence may be missing.

    Raises: NotAnObject if there is none.
    """
    code = _FENCE.sub("", text, count=1).rstrip().removesuffix("```").rstrip()
    if not code:
        raise NotAnObject("no code")
    return code


def _split_arguments(text: str) -> Iterator[str]:
    """The parts of `text` between the commas that are outside all brackets and strings."""
    scanner, start, read = BracketScanner(), 0, 0
    scanner.feed("(")
    for comma in re.finditer(",", text):
        scanner.feed(text[read : comma.start()])
        read = comma.start()
        if scanner.is_at_top:
            yield text[start : comma.start()]
            start = comma.end()
    if text[start:].strip():
        yield text[start:]


def _literal(text: str) -> Any:
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise NotAnObject(str(error)) from None


def _value(node: ast.expr) -> Any:
    """A literal as a JSON value: tuples become lists."""
    if isinstance(node, ast.Constant) and (
        node.value is None or isinstance(node.value, str) or is_json_number(node.value)
    ):
        return node.value
    if isinstance(node, ast.Name) and node.id in _CONSTANTS:
        return _CONSTANTS[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        result: dict[str, Any] = {}
        for key, item in zip(node.keys, node.values, strict=True):
            if key is None:
                raise NotAnObject("unpacking")
            name = _value(key)
            result.setdefault(name if isinstance(name, str) else repr(name), _value(item))
        return result
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        number = _value(node.operand)
        if is_json_number(number) and not isinstance(number, bool):
            return -number if isinstance(node.op, ast.USub) else number
    raise NotAnObject(f"a {type(node).__name__}, not a literal")
