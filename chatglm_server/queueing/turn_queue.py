"""A FIFO queue for a resource with one user at a time, and its worker thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

from .admission import Admission
from .status import QueueStatus

T = TypeVar("T")

_SLICE_S = 0.1  # signal handlers may call `stop`, which therefore sets no event: those that wait have to look


class TurnQueue:
    """Requests take turns; the work of the one whose turn it is runs on a thread of its own."""

    def __init__(self, max_queue: int) -> None:
        """`max_queue` requests may wait while one runs."""
        self._admission = Admission(1, max_queue)
        self._turn = asyncio.Lock()  # asyncio's locks are fair: first come, first served
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    @property
    def stopping(self) -> bool:
        """True if `stop` was called."""
        return self._admission.stopping

    def status(self) -> QueueStatus:
        """The queue as ``/health`` shows it: how many have their turn (one or none), and how many wait."""
        running = int(self._turn.locked())
        return {"running": running, "waiting": self._admission.admitted - running, "max": self._admission.max_queue}

    def admission(self) -> AbstractContextManager[None]:
        """A place in the queue, for as long as the context lasts.

        Raises: QueueFull, ShuttingDown.
        """
        return self._admission.place()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for those that came before; then it is the caller's turn until the context ends.

        Raises: ShuttingDown.
        """
        async with self._turn:
            self._admission.check_open()
            yield

    async def run(self, function: Callable[[], T]) -> T:
        """Call `function` on the worker thread. If the caller is cancelled, it still ends before any later call begins.

        Raises: ShuttingDown, and whatever `function` raises.
        """
        self._admission.check_open()
        result = await asyncio.get_running_loop().run_in_executor(self._worker, function)
        self._admission.check_open()
        return result

    async def wait(self, seconds: float) -> None:
        """Sleep; with 0, let other tasks run once.

        Raises: ShuttingDown.
        """
        end = time.monotonic() + seconds
        while True:
            await asyncio.sleep(min(max(end - time.monotonic(), 0), _SLICE_S))
            self._admission.check_open()
            if time.monotonic() >= end:
                return

    def stop(self) -> None:
        """End all requests with ShuttingDown."""
        self._admission.stopping = True
