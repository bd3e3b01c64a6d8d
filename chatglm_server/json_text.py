"""JSON text: strict on the way out, forgiving on the way in."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

MAX_NESTING = 64
"""Levels of lists and objects. Python's own parsers and writers may exhaust the stack on hostile nesting."""


class NotAnObject(ValueError):
    """The text holds no JSON object."""


def load_object(text: str) -> dict[str, Any]:
    """Parses a JSON object as models write it.

    Line breaks inside strings are allowed. The first value of a repeated key counts: a stream cannot take back what it
    sent. NaN and Infinity are refused, because no JSON text may hold them.

    Raises: NotAnObject.
    """
    value = load_json(text)
    if not isinstance(value, dict):
        raise NotAnObject(f"a {type(value).__name__}, not an object")
    return value


def load_json(text: str) -> Any:
    """Parses any JSON value as `load_object` parses objects. Raises: NotAnObject."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise NotAnObject(str(error)) from None


def dump_object(arguments: dict[str, Any]) -> str:
    """Returns JSON text of `arguments`, non-ASCII characters as they are.

    Raises: NotAnObject for numbers that JSON cannot spell.
    """
    return dump_json(arguments)


def dump_json(value: Any) -> str:
    """The same for any value. Raises: NotAnObject."""
    try:
        text = _ENCODER.encode(value)
    except (ValueError, RecursionError) as error:
        raise NotAnObject(str(error)) from None
    return join_surrogates(text)


def join_surrogates(text: str) -> str:
    """Returns `text` as it can be sent as UTF-8: surrogate pairs joined, lone surrogates replaced by U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        pass
    else:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_json_number(value: object) -> bool:
    """True if `value` is a number that JSON can spell."""
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


def is_too_deep(value: object) -> bool:
    """True if lists and objects are nested more than `MAX_NESTING` deep. Goes level by level, not by recursion."""
    level = [value]
    for _ in range(MAX_NESTING):
        level = _children(level)
        if not level:
            return False
    return any(isinstance(item, list | dict) for item in level)


def has_infinity(value: object) -> bool:
    """True if a number in `value` is infinite, as a parser reads 1e999. No JSON text can hold it again."""
    level = [value]
    while level:
        if math.inf in level or -math.inf in level:
            return True
        level = _children(level)
    return False


def _children(level: list[Any]) -> list[Any]:
    """Returns what the lists and objects in `level` hold. A body can hold millions: each costs as little as it can."""
    children: list[Any] = []
    for item in level:
        if isinstance(item, dict):
            children += item.values()
        elif isinstance(item, list):
            children += item
    return children


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        result.setdefault(key, value)
    return result


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(strict=False, object_pairs_hook=_first_wins, parse_constant=_refuse, parse_float=_finite)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
