"""Ctrl-C ends what is going on, and not the program."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")


class Stopped(Exception):
    """The person has pressed Ctrl-C."""


async def until_ctrl_c(work: Coroutine[Any, Any, T]) -> T:
    """What `work` returns. Raises: Stopped, once `work` was cancelled."""
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    before = signal.signal(signal.SIGINT, lambda *_: loop.call_soon_threadsafe(task.cancel))
    try:
        return await task
    except asyncio.CancelledError:
        if not task.cancelled():  # it is this coroutine that is to end
            task.cancel()
            raise
        raise Stopped from None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def stopping_at_ctrl_c() -> Iterator[None]:
    """For code that holds up the event loop. Raises: Stopped."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        raise Stopped from None
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def outliving_ctrl_c() -> Iterator[None]:
    """Ctrl-C ends nothing, but for what `until_ctrl_c` and `stopping_at_ctrl_c` run meanwhile."""
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
