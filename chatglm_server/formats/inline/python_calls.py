"""Reads the arguments that a model wrote as a Python call, a JSON object, or code. Nothing is run."""

from __future__ import annotations

import re
from typing import Any

from ...json_text import NotAnObject, load_object
from ..values.literals import LiteralReader

CALL_NAME = "tool_call"
_CALL = re.compile(r"[^\s({]+\s*\(")
_KEYWORD = re.compile(r"(?:(?P<quote>['\"])(?P<quoted>[^'\"=]+)(?P=quote)|(?P<name>[^\s'\"=(){}\[\],#*]+))\s*=(?!=)")
_FENCE = re.compile(r"^\s*```[ \t]*\w*[ \t]*\r?\n?")


def read_python_call(text: str) -> dict[str, Any]:
    """Returns the arguments of ``tool_call(name=literal, …)``, or of a JSON object in its place.

    Any argument name is allowed: models write ``from`` and ``max-items``, too. Values must be literals. The first
    value of a repeated name counts.

    Raises: NotAnObject for anything else: positional values, arithmetic, names, calls.
    """
    text = _without_fence(text)
    if text.startswith("{"):
        return read_json_call(text)
    head = _CALL.match(text)
    if head is None or not text.endswith(")"):
        raise NotAnObject("no call")
    inner = text[head.end() : -1].strip()
    if inner.startswith("{"):
        return read_json_call(inner)
    reader = LiteralReader(text, head.end())
    arguments: dict[str, Any] = {}
    comma = True
    while not reader.take(")"):
        if not comma:
            raise NotAnObject("no comma")
        keyword = reader.take_pattern(_KEYWORD)
        arguments.setdefault(keyword["quoted"] or keyword["name"], reader.value())
        comma = reader.take(",")
    reader.expect_end()
    return arguments


def read_json_call(text: str) -> dict[str, Any]:
    """Returns arguments from a JSON object, or from a Python dict of literals (single quotes, True, None).

    Raises: NotAnObject.
    """
    text = _without_fence(text)
    try:
        return load_object(text)
    except NotAnObject:
        reader = LiteralReader(text)
        value = reader.value()
        reader.expect_end()
        if not isinstance(value, dict):
            raise
        return value


def read_interpreter_call(text: str, parameter: str) -> dict[str, Any]:
    """Returns code as the argument `parameter`. The fences around it may be missing.

    Code that is itself a call with that argument is read as the call.

    Raises: NotAnObject without code.
    """
    code = _FENCE.sub("", text, count=1).rstrip().removesuffix("```").rstrip()
    if not code:
        raise NotAnObject("no code")
    if code.startswith((CALL_NAME, "{")):
        try:
            arguments = read_python_call(code)
        except NotAnObject:
            pass
        else:
            if parameter in arguments:
                return arguments
    return {parameter: code}


def _without_fence(text: str) -> str:
    return _FENCE.sub("", text, count=1).strip()
