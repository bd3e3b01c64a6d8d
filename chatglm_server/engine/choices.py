"""Answers that are written whether or not their client reads along."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ..chat import Accepted, AnswerEvent, Event, Finish


async def written(answers: Sequence[AsyncGenerator[AnswerEvent, None]], at_once: int) -> AsyncGenerator[Event, None]:
    """`Accepted`, then the events of all `answers` as they come, until each has ended with its `Finish`.

    Each is written by a task of its own: a client that reads slowly does not hold it up. What waits to be read is
    bounded by what the answers can hold. No more than `at_once` are begun at a time, in their order, so that a request
    for many answers lets others in between. Closing the iterator ends them.

    Raises: whatever `answers` raise.
    """
    yield Accepted()
    ready: asyncio.Queue[AnswerEvent | Exception] = asyncio.Queue()
    turns = asyncio.Semaphore(at_once)
    writing = [asyncio.create_task(_write(answer, ready, turns)) for answer in answers]
    try:
        unfinished = len(answers)
        while unfinished:
            event = await ready.get()
            if isinstance(event, Exception):
                raise event
            unfinished -= isinstance(event, Finish)
            yield event
    finally:
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)


async def _write(
    answer: AsyncGenerator[AnswerEvent, None], ready: asyncio.Queue[AnswerEvent | Exception], turns: asyncio.Semaphore
) -> None:
    try:
        async with turns, aclosing(answer) as events:
            async for event in events:
                ready.put_nowait(event)
    except Exception as error:  # the reader's to raise
        ready.put_nowait(error)
