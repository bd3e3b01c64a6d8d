"""One of the servers behind this one: its connection, its load, and whether it is left out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from ...errors import ChatGLMServerError
from ...queueing.status import BackendStatus
from .client import Json, UpstreamClient
from .failover import named
from .log_text import in_a_line
from .probe import BackendProbe

BACK_OFFS_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds between two looks at a server that is left out; the last one repeats."""

_log = logging.getLogger("chatglm_server")


class PoolMember:
    """A server, and what this one knows of it: `running` requests of ours, and when it was asked last."""

    def __init__(self, client: UpstreamClient) -> None:
        self.running = 0
        self.last_asked = 0
        """The number of the latest request that was sent here, in the pool's count."""
        self._client = client
        self._probe = BackendProbe(client)
        self._requests = 0
        self._failures = 0
        self._back_offs = 0  # since the last answer: a server that is listed but cannot answer is tried less and less
        self._fault: str | None = None
        self._looking: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        return self._client.address

    @property
    def left_out(self) -> bool:
        """True from a failure until the server answers again."""
        return self._fault is not None

    async def get(self, path: str) -> Any:
        """Returns the JSON value at `path`. Raises: the errors of `UpstreamClient.get`."""
        return await self._client.get(path)

    @asynccontextmanager
    async def stream(self, path: str, body: Json) -> AsyncIterator[AsyncGenerator[Json, None]]:
        """Gives the objects of an answer, as `UpstreamClient.stream` does, and counts the request meanwhile."""
        self.running += 1
        self._requests += 1
        try:
            async with self._client.stream(path, body) as objects:
                yield objects
        finally:
            self.running -= 1

    async def status(self) -> BackendStatus:
        """Returns the state of the server; waits for its answer for a second at most."""
        status = BackendStatus(
            address=self.address,
            in_service=not self.left_out,
            running=self.running,
            requests=self._requests,
            failures=self._failures,
        )
        problem = self._fault or await self._probe.problem()
        if problem is not None:
            status["problem"] = problem
        return status

    def failed(self) -> None:
        """Counts a failure. Mutates the member."""
        self._failures += 1

    def leave_out(self, error: ChatGLMServerError) -> None:
        """Keeps requests away until the server answers a look at its models. Mutates the member."""
        if self._looking is not None:
            return
        self._fault = named(error, self.address)
        self._back_offs += 1
        _log.warning("%s; it is left out until it answers again", in_a_line(self._fault))
        self._looking = asyncio.create_task(self._until_it_answers())

    def answered(self) -> None:
        """Notes that an answer began. A server that was left out is back. Mutates the member."""
        self._back_offs = 0
        if self._looking is not None:
            self._looking.cancel()
            self._take_back()

    def stop(self) -> None:
        self._client.stop()

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._client.close()

    async def _until_it_answers(self) -> None:
        while True:
            await asyncio.sleep(BACK_OFFS_S[min(self._back_offs, len(BACK_OFFS_S)) - 1])
            self._fault = await self._probe.problem()
            if self._fault is None:
                break
            self._back_offs += 1
        self._take_back()

    def _take_back(self) -> None:
        self._fault = self._looking = None
        _log.info("the backend at %s answers again", self.address)
