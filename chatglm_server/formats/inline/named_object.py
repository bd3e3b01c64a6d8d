"""JSON that holds a call's name beside its arguments."""

from __future__ import annotations

from typing import Any

from ...json_text import NotAnObject, load_json, load_object


def read_named_object(text: str) -> tuple[str, dict[str, Any]]:
    """Returns name and arguments of ``{"name": …, "arguments": {…}}``, or of a list of one such object.

    The arguments may be JSON text, be called ``parameters`` or be left out. All may stand in ``{"function": …}``.

    Raises: NotAnObject if `text` is anything else.
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
    raise NotAnObject("this is not a call")
