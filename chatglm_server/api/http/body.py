"""Reads a request's JSON body: it must be declared as JSON, valid Unicode and not nested too deep."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pydantic_core
from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect

from ...errors import InvalidRequest, UnsupportedMediaType
from ...json_text import MAX_NESTING, has_infinity, is_too_deep

MAX_ENTRIES = 1024
CLIENT_CLOSED = 499
"""Status for the log when the client left before the response; the number is nginx's."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Windows shells and editors put it in front of UTF-8."""

_LONE_SURROGATE = ("unexpected end of hex escape", "lone leading surrogate")
"""How the JSON parser words it: a high surrogate without a low one, and the other way round."""


class JsonRequest(Request):
    """A request whose `json` refuses bodies that would only fail later."""

    async def json(self) -> Any:
        """The body. Raises: InvalidRequest."""
        if not hasattr(self, "_value"):
            body = (await self.body()).removeprefix(_BYTE_ORDER_MARK)
            try:
                self._value = pydantic_core.from_json(body, allow_inf_nan=False)
            except ValueError as error:
                raise InvalidRequest(_explained(str(error))) from None
            if is_too_deep(self._value):
                raise InvalidRequest(f"the body is nested more than {MAX_NESTING} levels deep")
            if has_infinity(self._value):
                raise InvalidRequest("the body holds a number that is out of range: at most 1.8e308")
        return self._value


class JsonRoute(APIRoute):
    """A route that takes only bodies declared as JSON.

    Any web page may send a form or plain text to a server on this machine without asking, but not JSON. So a body
    declared as something else is refused even if it would parse.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def checked(request: Request) -> Response:
            if request.method != "POST":
                return await handle(request)
            if not self.accepts_type(request):
                raise UnsupportedMediaType('the body must be JSON: send "Content-Type: application/json"')
            MutableHeaders(scope=request.scope)["content-type"] = "application/json"  # FastAPI reads it again
            request = JsonRequest(request.scope, request.receive)
            try:
                await request.json()  # here, because FastAPI makes one message of whatever fails while it reads
            except ClientDisconnect:
                return Response(status_code=CLIENT_CLOSED)
            return await handle(request)

        return checked

    def accepts_type(self, request: Request) -> bool:
        return request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json"


class UndeclaredJsonRoute(JsonRoute):
    """A route that takes JSON of any declared type from programs. A web page has to declare it as JSON.

    Browsers send an Origin header with every POST of a page, and programs send none. Source: https://fetch.spec.whatwg.org/#append-a-request-origin-header.
    """

    def accepts_type(self, request: Request) -> bool:
        return "origin" not in request.headers or super().accepts_type(request)


def _explained(error: str) -> str:
    """The parser's message, in the client's terms where the parser's are not."""
    for words in _LONE_SURROGATE:
        if error.startswith(words):
            where = error.partition(" at ")[2]
            return (
                f"the body has half of a surrogate pair (an escape from \\ud800 to \\udfff without its other half) "
                f"at {where}: text was cut in the middle of a character; leave the half out or send \\ufffd"
            )
    return f"the body is not valid JSON: {error}"


def few_entries(value: object, field: str, most: int = MAX_ENTRIES) -> object:
    """`value`, if it is not an object with more than `most` entries. Raises: InvalidRequest."""
    if isinstance(value, dict) and len(value) > most:
        raise InvalidRequest(f"{field}: at most {most} entries, not {len(value)}", param=field)
    return value
