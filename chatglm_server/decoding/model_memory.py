"""The memory of a model: its weights, its KV cache and the prefixes that it has on disk, loaded and given back."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future

from ..queueing.status import CacheStatus, DiskStatus
from .kv_cache import KVCache
from .runner import Runner
from .snapshots.snapshots import Snapshots

_log = logging.getLogger("chatglm_server")


class ModelMemory:
    """A model that is in memory, or not. Its thread loads it and lets go of it; all else is the event loop's."""

    runner: Runner
    """Only while the model is loaded."""
    cache: KVCache
    """Only while the model is loaded."""

    def __init__(self, worker: Executor) -> None:
        """`worker` is the model's thread."""
        self._worker = worker
        self.loaded = False
        """True while the model is in memory."""
        self.snapshots: Snapshots | None = None
        """The prefixes on disk; None if none are kept, or while the model is not loaded."""
        self._disk_before: DiskStatus | None = None  # what was moved until the model was last unloaded
        self._loading: asyncio.Task[Runner] | None = None

    def is_loaded_by(self, load_runner: Callable[[], Runner], most_positions: int) -> None:
        """How to load the model. `most_positions` as for `KVCache`."""
        self._load_runner, self._most_positions = load_runner, most_positions

    async def load(self) -> Runner:
        """Load the model; if that has begun, wait for it. Raises: whatever the loader raises."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(self._loading_ended)
        return await asyncio.shield(self._loading)

    def give_back(self) -> Future[None]:
        """Let go of a model that is loaded, and that nothing uses. The future ends once its memory is free."""
        self.loaded, self._disk_before = False, self.disk_status()
        held: list[Runner | KVCache | Snapshots | None] = [self.runner, self.cache, self.snapshots]
        self.snapshots = None
        del self.runner, self.cache
        _log.info("the memory of the model is given back until the next request")
        return self._worker.submit(_give_back, held)

    async def close(self) -> None:
        """Wait until what goes to disk is written. The loader has to end by itself."""
        if self._loading is not None:
            await asyncio.gather(self._loading, return_exceptions=True)
        if self.snapshots is not None:
            await asyncio.to_thread(self.snapshots.close)

    def disk_status(self) -> DiskStatus | None:
        """The traffic of prefixes that are kept on disk; None if none are."""
        now, before = self.snapshots.status() if self.snapshots else None, self._disk_before
        if now is None or before is None:
            return now or before
        read, written = before["read"] + now["read"], before["written"] + now["written"]
        return {**now, "read": read, "written": written}

    def cache_status(self) -> CacheStatus:
        """How full the KV cache is."""
        return self.cache.status() if self.loaded else {"tokens": 0, "most": self._most_positions}

    async def _load(self) -> Runner:
        runner = await asyncio.get_running_loop().run_in_executor(self._worker, self._load_runner)
        self.runner, self.cache = runner, KVCache(runner, self._most_positions)
        self.snapshots = runner.snapshots
        self.loaded = True
        return runner

    def _loading_ended(self, loading: asyncio.Task[Runner]) -> None:
        self._loading = None
        if not loading.cancelled():
            loading.exception()  # those that wait raise it; perhaps nobody does


def _give_back(held: list[Runner | KVCache | Snapshots | None]) -> None:
    """Let go of what a model was held by, once its prefixes are on disk. Mutates `held`, which has to be all of it."""
    for part in held:
        if isinstance(part, Snapshots):
            part.close()
    del part
    held.clear()
    gc.collect()  # the traceback of an error may hold the model
