"""The models of a server and their life: load, answer, stop, close."""

from __future__ import annotations

import asyncio

from .embeddings.base import Embedder
from .engine.base import Engine


class Service:
    """An engine and perhaps an embedder, which load in the background once the server runs."""

    def __init__(self, engine: Engine, embedder: Embedder | None = None) -> None:
        self.engine = engine
        self.embedder = embedder
        self._loading: asyncio.Task[None] | None = None

    def start(self) -> asyncio.Task[None]:
        """Begin to load, or find that it began before. The task ends once all is ready, or fails as `load` does."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
        return self._loading

    def stop(self) -> None:
        """End all running and waiting requests, and take no more. For signal handlers too."""
        self.engine.stop()
        if self.embedder is not None:
            self.embedder.stop()

    async def close(self) -> None:
        """Stop, and give back what the engine holds."""
        self.stop()
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)
        await self.engine.close()

    async def _load(self) -> None:
        await self.engine.load()
        if self.embedder is not None:
            await self.embedder.load()
