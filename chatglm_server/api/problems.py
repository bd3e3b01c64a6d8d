"""pydantic's validation errors as ours: the first one, named as the client wrote the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import InvalidRequest

_UNION_TAGS = {"system", "developer", "user", "assistant", "tool", "str", "NamedChoice"}
"""Steps that pydantic adds to an error's place to say which member of a union it tried."""


def invalid_request(problems: Sequence[Mapping[str, Any]], where: str = "") -> InvalidRequest:
    """The first of `problems`, which are of the value at `where` in the body; "" for the body itself."""
    first = problems[0]
    path = where
    for step in first["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step not in _UNION_TAGS and "[" not in step:
            path += f".{step}" if path else str(step)
    message = str(first["msg"]).removeprefix("Value error, ")
    return InvalidRequest(f"{path}: {message}" if path else message, param=path or None)
