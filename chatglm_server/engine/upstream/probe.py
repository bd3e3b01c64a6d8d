"""Asks a backend whether it is there."""

from __future__ import annotations

import asyncio
import math
import time

from ...errors import ChatGLMServerError, UpstreamError
from .client import UpstreamClient

PROBE_S = 1.0
"""Longest wait for the backend: who asks for our health must not wait long."""
CACHE_S = 1.0
"""How long an answer counts, so that the backend hears little of it, however often we are asked."""


class BackendProbe:
    """Asks for the list of models, which costs a backend no computation."""

    def __init__(self, client: UpstreamClient) -> None:
        self._client = client
        self._asked = -math.inf
        self._problem: str | None = None
        self._asking = asyncio.Lock()

    async def problem(self) -> str | None:
        """Returns why requests would fail, or None. Waits for at most `PROBE_S` seconds."""
        async with self._asking:
            if time.monotonic() - self._asked >= CACHE_S:
                self._problem = await self._ask()
                self._asked = time.monotonic()
        return self._problem

    async def _ask(self) -> str | None:
        try:
            await self._client.get("/models", within_s=PROBE_S)
        except UpstreamError as error:
            # a server without a list of models can answer all the same; one that refuses our key cannot
            if error.status >= 500 or error.status in (401, 403):
                return f"the backend at {self._client.address} answered {error.status}: {error.message}"
        except ChatGLMServerError as error:
            return error.message
        return None
