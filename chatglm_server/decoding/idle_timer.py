"""Calls a function once nothing has happened for some time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class IdleTimer:
    """Runs on the event loop. `restart` begins the time anew, `cancel` ends it."""

    def __init__(self, seconds: float, action: Callable[[], object]) -> None:
        """With 0 seconds `action` is never called."""
        self._seconds = seconds
        self._action = action
        self._handle: asyncio.TimerHandle | None = None

    def restart(self) -> None:
        """Mutates the timer."""
        self.cancel()
        if self._seconds:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._action)

    def cancel(self) -> None:
        """Mutates the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
