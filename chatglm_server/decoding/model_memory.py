"""The memory of a model: its weights, its KV cache and the prefixes that it has on disk, loaded and given back."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from ..queueing.status import CacheStatus, DiskStatus
from .kv_cache import KVCache
from .runner import Runner
from .snapshots.blocks import BLOCK
from .snapshots.snapshots import Snapshots
from .snapshots.store import BlockStore

_log = logging.getLogger("chatglm_server")


@dataclass(frozen=True, slots=True)
class ColdCache:
    """The KV cache of a model that is not in memory: empty, but the disk may hold prefixes. `chunk` is the model's."""

    most: int
    chunk: int
    reuses_prefixes: bool
    store: BlockStore | None

    def known(self, tokens: Sequence[int]) -> int:
        """How many of `tokens`, except the last, will not have to be read."""
        return 0 if self.store is None else len(self.store.find(tokens[:-1])) * BLOCK


class ModelMemory:
    """A model that is in memory, or not. Its thread loads it and lets go of it; all else is the event loop's."""

    runner: Runner
    """Only while the model is loaded."""
    cache: KVCache
    """Only while the model is loaded."""

    def __init__(self, worker: Executor, on_loaded: Callable[[], None]) -> None:
        """`worker` is the model's thread. `on_loaded` is called each time that the model has come into memory."""
        self._worker, self._on_loaded = worker, on_loaded
        self.loaded = False
        """True while the model is in memory."""
        self.snapshots: Snapshots | None = None
        """The prefixes on disk; None if none are kept, or while the model is not loaded."""
        self._disk_before: DiskStatus | None = None  # what was moved until the model was last unloaded
        self._loading: asyncio.Task[Runner] | None = None
        self._load_began: float | None = None  # None: it is not being loaded
        self._cold: ColdCache | None = None
        self.load_s = 0.0
        """Seconds that the model took to load, the last time."""

    @property
    def cold(self) -> ColdCache | None:
        """What is known of the KV cache while the model is not loaded; None until it was loaded for the first time."""
        return self._cold

    @property
    def loading(self) -> bool:
        """True while the model is on its way into memory."""
        return self._loading is not None

    def load_left_s(self) -> float:
        """Seconds until the model could be in memory, if it took as long as the last time. It was loaded before."""
        if self.loaded:
            return 0.0
        passed = 0.0 if self._load_began is None else time.perf_counter() - self._load_began
        return max(0.0, self.load_s - passed)

    def is_loaded_by(self, load_runner: Callable[[], Runner], most_positions: int) -> None:
        """How to load the model. `most_positions` as for `KVCache`."""
        self._load_runner, self._most_positions = load_runner, most_positions

    async def load(self) -> Runner:
        """Load the model, unless it is in memory; if that has begun, wait for it. Goes on if the caller is cancelled.

        Raises: whatever the loader raises.
        """
        if self.loaded:
            return self.runner
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(self._loading_ended)
        return await asyncio.shield(self._loading)

    def give_back(self) -> Future[None]:
        """Let go of a model that is loaded, and that nothing uses. The future ends once its memory is free."""
        self.loaded, self._disk_before = False, self.disk_status()
        store = None if self.snapshots is None else self.snapshots.store
        self._cold = ColdCache(self._most_positions, self.runner.chunk, self.runner.reuses_prefixes, store)
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
        self._load_began = time.perf_counter()
        try:
            runner = await asyncio.get_running_loop().run_in_executor(self._worker, self._load_runner)
            self.load_s = time.perf_counter() - self._load_began
        finally:
            self._load_began = None
        self.runner, self.cache = runner, KVCache(runner, self._most_positions)
        self.snapshots = runner.snapshots
        self.loaded = True
        self._on_loaded()
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
