"""Signs of life in a stream while there is nothing to say: some clients give up after an idle time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")

GRACE_S = 10.0
"""For the last token, and the error event when the server stops."""


async def kept_alive(
    lines: AsyncGenerator[T, None], seconds: float, sign: Callable[[], T | None]
) -> AsyncGenerator[T, None]:
    """`lines`, and every `seconds` seconds what `sign` gives, made when it is its turn to be sent. Closes `lines`."""
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds
    coming: asyncio.Future[T | None] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(lines, None))
            await asyncio.wait({coming}, timeout=max(0.0, due - loop.time()))
            if coming.done():
                line, coming = coming.result(), None
                if line is None:
                    return
                yield line
            if loop.time() >= due:
                if (life := sign()) is not None:
                    yield life
                due = loop.time() + seconds
    finally:
        with anyio.move_on_after(GRACE_S, shield=True):  # a client that leaves cancels all that is not shielded
            if coming is not None:
                coming.cancel()
                await asyncio.wait({coming})
            await lines.aclose()
