"""Calls between ``<tool_call>`` tags that do without the tags of arguments: JSON, or ``key=value`` pairs."""

from __future__ import annotations

import re
from typing import Any

from ...json_text import NotAnObject, load_json, load_object

BODY_HEAD = re.compile(r"\s*(?:(?P<name>[^\s{}<>\"'=\[]+)(?:\s|\\n|>)*)?(?P<json>\{\s*[\"'}]|\[\s*\{\s*[\"'])")
"""How JSON in place of tags begins: an object with the name in it, or the name and the arguments."""
PAIRS_HEAD = re.compile(r"\s*(?P<name>[^\s{}<>\"'=\[]+)\s+(?P<pairs>[^\s=\"'<>{}]+=)")
"""How ``name key=value`` begins."""

_PAIR = re.compile(r"""\s*(?P<key>[^\s="'<>{},]+)=(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"',]*)(?:\s|,|$)""")


def read_named_object(text: str) -> tuple[str, dict[str, Any]]:
    """Name and arguments of ``{"name": …, "arguments": {…}}``, or of the first such in a list.

    The arguments may be JSON text, ``parameters`` or left out; the whole may stand in ``{"function": …}``.

    Raises: NotAnObject.
    """
    value = load_json(text)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, dict):
        for wrapper in ("function", "tool", "tool_call"):
            if isinstance(value.get(wrapper), dict):
                value = {**value, **value[wrapper]}
        name = value.get("name", value.get("function", value.get("tool")))
        arguments = value.get("arguments", value.get("parameters"))
        if isinstance(arguments, str):
            arguments = load_object(arguments or "{}")
        if isinstance(name, str) and isinstance(arguments, dict | None):
            return name, arguments or {}
    raise NotAnObject("no call")


def read_pairs(text: str) -> dict[str, str]:
    """The values, as text, of ``key=value key='more words'``. Raises: NotAnObject."""
    pairs: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            if text[at:].strip():
                raise NotAnObject("more than pairs")
            break
        value = match["value"]
        pairs.setdefault(match["key"], value[1:-1] if value[:1] in ("'", '"') else value)
        at = match.end()
    return pairs
