"""pydantic's validation errors as ours: the first one, named as the client wrote the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..errors import InvalidRequest

_UNION_TAGS = {"system", "developer", "user", "assistant", "tool", "str", "NamedChoice"}
"""Steps that pydantic adds to an error's place to say which member of a union it tried."""


def read(kind: Any, value: Any, where: str) -> Any:
    """Returns `value`, which stands at `where` in the body, as `kind`. Raises: InvalidRequest for the first fault."""
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise invalid_request(problems, where) from None


def invalid_request(problems: Sequence[Mapping[str, Any]], where: str = "") -> InvalidRequest:
    """Returns the first of `problems` as an error. `where` is the place of the value in the body; "" is the body."""
    first = problems[0]
    path = where
    for step in first["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step not in _UNION_TAGS and "[" not in step:
            path += f".{step}" if path else str(step)
    message = str(first["msg"]).removeprefix("Value error, ")
    return InvalidRequest(f"{path}: {message}" if path else message, param=path or None)


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
