"""A request on its way from server to server, until one of them answers it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any

from ...errors import ChatGLMServerError, UpstreamFailure
from .client import Json
from .failover import all_failed, breaks_off, goes_elsewhere, is_busy
from .pool import BackendPool
from .pool_member import PoolMember
from .prefix_keys import prefix_keys


@asynccontextmanager
async def relayed(pool: BackendPool, path: str, body: Json) -> AsyncIterator[AsyncGenerator[Json, None]]:
    """Gives the JSON objects of an answer, as `UpstreamClient.stream` does, of the server in `pool` that gives one.

    Raises: the same errors, once every server that may have the request has failed.
    """
    relay = _Relay(pool, path, body)
    try:
        await relay.start()
        async with aclosing(relay.objects()) as objects:
            yield objects
    finally:
        await relay.close()


class _Relay:
    """Sends a request to one server after the other. The first that begins to answer keeps it.

    A server that fails before is asked no more, even if it has accepted the request: a prompt that waited or was read
    there is read again elsewhere, and the client sees no break.
    """

    def __init__(self, pool: BackendPool, path: str, body: Json) -> None:
        self._pool = pool
        self._path = path
        self._body = body
        self._keys = prefix_keys(body) if len(pool.members) > 1 else []
        self._tried: list[PoolMember] = []
        self._errors: dict[str, ChatGLMServerError] = {}
        self._answer = AsyncExitStack()
        self._objects: AsyncGenerator[Json, None]

    async def start(self) -> None:
        """Returns once a server has accepted the request. Mutates this.

        Raises: the error of a server that refused it, or what `all_failed` makes of those of all.
        """
        while True:
            busy = any(map(is_busy, self._errors.values()))
            member = self._pool.choose(self._keys, self._tried, in_service=busy)
            if member is None:
                raise all_failed(self._errors)
            self._tried.append(member)
            try:
                self._objects = await self._answer.enter_async_context(member.stream(self._path, self._body))
            except ChatGLMServerError as error:
                if not goes_elsewhere(error):
                    raise
                self._pool.failed(member, error)
                self._errors[member.address] = error
            else:
                return

    async def objects(self) -> AsyncGenerator[Json, None]:
        """Yields the JSON objects of the answer. Raises: the errors of `UpstreamClient.stream`. Mutates this."""
        begun = False
        while True:
            member = self._tried[-1]
            try:
                async for value in self._objects:
                    if not begun and begins(value):
                        begun = True
                        self._pool.answered(member, self._keys)
                    yield value
                if begun:
                    return
                raise UpstreamFailure(f"the backend at {member.address} broke off before its answer was complete")
            except ChatGLMServerError as error:
                if not breaks_off(error):
                    raise
                self._pool.failed(member, error)
                if begun:
                    raise
                self._errors[member.address] = error
            await self._answer.aclose()
            await self.start()

    async def close(self) -> None:
        """Ends the request, if it runs. Mutates this."""
        await self._answer.aclose()


def begins(value: Mapping[str, Any]) -> bool:
    """True if `value`, an object of an answer, holds a part of it: more than the role that many servers send first."""
    choices = value.get("choices")
    return isinstance(choices, list) and any(isinstance(choice, dict) and _says_something(choice) for choice in choices)


def _says_something(choice: Mapping[str, Any]) -> bool:
    message = choice.get("delta") or choice.get("message")
    said = {"text": choice.get("text"), "finish_reason": choice.get("finish_reason")}
    if isinstance(message, dict):
        said |= message
    return any(value for name, value in said.items() if name != "role")
