"""The answers to one request as one stream of events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from ..chat import Accepted, AnswerEvent, Event, Finish

MOST_UNREAD = 64
"""Events that may be ready before their client reads them; then the answers wait for it. Their tokens wait in the
sequences, so that the scheduler knows how far each answer is ahead."""


async def merge_choices(
    answers: Sequence[AsyncGenerator[AnswerEvent, None]], at_once: int, prompt_tokens: int
) -> AsyncGenerator[Event, None]:
    """`Accepted`, then the events of all `answers` as they come, until each has ended with its `Finish`.

    A task for each answer reads its events, up to `MOST_UNREAD` ahead of the client of all. So a client that reads
    slowly does not hold up a short answer, and one that does not read has a bounded number of events waiting. No more
    than `at_once` answers are begun at a time, in their order, so that a request for many answers lets others in
    between. Closing the iterator ends them.

    Raises: whatever `answers` raise.
    """
    yield Accepted(prompt_tokens=prompt_tokens)
    ready: asyncio.Queue[AnswerEvent | Exception] = asyncio.Queue(MOST_UNREAD)
    turns = asyncio.Semaphore(at_once)
    tasks = [asyncio.create_task(_read(answer, ready, turns)) for answer in answers]
    try:
        unfinished = len(answers)
        while unfinished:
            event = await ready.get()
            if isinstance(event, Exception):
                raise event
            unfinished -= isinstance(event, Finish)
            yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _read(
    answer: AsyncGenerator[AnswerEvent, None], ready: asyncio.Queue[AnswerEvent | Exception], turns: asyncio.Semaphore
) -> None:
    try:
        async with turns, aclosing(answer) as events:
            async for event in events:
                await ready.put(event)
    except Exception as error:  # for `merge_choices` to raise
        await ready.put(error)
