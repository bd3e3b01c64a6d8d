"""Reads JSON of servers that may send anything. What this returns can be sent on as JSON."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ...json_text import MAX_NESTING, is_too_deep, join_surrogates

_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class NotJson(ValueError):
    """The text is not JSON, or is nested too deeply; the message completes "something that …"."""


def read_json(text: bytes | str) -> Any:
    """Parses a JSON value.

    Python servers write NaN and Infinity, which JSON does not have: they count as null, and so do numbers that are too
    large for a float. Halves of surrogate pairs, which UTF-8 does not have, become U+FFFD.

    Raises: NotJson.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", "replace")
    try:
        value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    except (ValueError, RecursionError):
        raise NotJson("is not JSON") from None
    if is_too_deep(value):
        raise NotJson(f"is nested more than {MAX_NESTING} deep")
    if _SURROGATE.search(text):
        value = json.loads(join_surrogates(json.dumps(value, ensure_ascii=False)))
    return value


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None
