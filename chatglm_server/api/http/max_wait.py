"""The header by which a request says how long it is willing to wait."""

from __future__ import annotations

import re

from starlette.datastructures import Headers

from ...errors import InvalidRequest

HEADER = "X-Max-Wait-Seconds"
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def max_wait_s(headers: Headers, default: float | None) -> float | None:
    """Seconds that the request is willing to wait for its first token: by the header, or else `default`.

    Raises: InvalidRequest if the header is not a number above 0.
    """
    value = headers.get(HEADER)
    if value is None:
        return default
    if not _NUMBER.fullmatch(value.strip()) or float(value) <= 0:
        raise InvalidRequest(f"the header {HEADER} takes a number of seconds above 0, such as 30, not {value[:32]!r}")
    return float(value)
