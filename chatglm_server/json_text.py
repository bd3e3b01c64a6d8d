"""Tool call arguments as JSON objects: strict on the way out, forgiving on the way in."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn


class NotAnObject(ValueError):
    """The text holds no JSON object."""


def load_object(text: str) -> dict[str, Any]:
    """Parse a JSON object as models write it.

    Line breaks inside strings are allowed; of a repeated key the first value counts (a stream could not take it back);
    NaN and Infinity are refused, for no JSON text may hold them.

    Raises: NotAnObject.
    """
    value = load_json(text)
    if not isinstance(value, dict):
        raise NotAnObject(f"a {type(value).__name__}, not an object")
    return value


def load_json(text: str) -> Any:
    """Any JSON value, read as `load_object` reads objects. Raises: NotAnObject."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise NotAnObject(str(error)) from None


def dump_object(arguments: dict[str, Any]) -> str:
    """JSON text of `arguments`, non-ASCII characters as they are.

    Raises: NotAnObject for numbers that JSON has no spelling for.
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
    """`text` with surrogate pairs joined and lone surrogates replaced by U+FFFD, so that it can be sent as UTF-8."""
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
    """Whether `value` is a number that JSON can spell."""
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))


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
