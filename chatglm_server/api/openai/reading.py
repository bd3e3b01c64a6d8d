"""Reading a part of a body by itself."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ..problems import invalid_request


def read(kind: Any, value: Any, where: str) -> Any:
    """`value`, which stands at `where` in the body, as `kind`. Raises: InvalidRequest for the first fault."""
    try:
        return _adapter(kind).validate_python(value)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False, include_context=False)
        raise invalid_request(problems, where) from None


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
