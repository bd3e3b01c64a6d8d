"""The real core behind a scheduler, and a note of what it was given to read."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

from chatglm_server.decoding.backends.native import NativeModel
from chatglm_server.decoding.constraints.base import Constraint
from chatglm_server.decoding.model import Logits, ScheduledSequence
from chatglm_server.decoding.runner import SampledToken
from chatglm_server.decoding.sampler import make_sampler
from chatglm_server.decoding.scheduler import Scheduler
from chatglm_server.decoding.sequence import AnswerSequence
from chatglm_server.errors import ModelFailure
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.sampling import SamplingParams
from tests.token_level import model_runner

CONTEXT = 512


class WatchedModel(NativeModel):
    """The real core, and a note of what it was given to read."""

    def __init__(self, path: Path, slots: int, context: int) -> None:
        super().__init__(read_model_file(path).spec, context, slots=slots, threads=2)
        self.passes: list[list[tuple[int, int]]] = []
        self.copied: list[int] = []
        self.broken = False

    def forward(self, batch: Sequence[ScheduledSequence]) -> Logits:
        if self.broken:
            raise ModelFailure("out of order")
        self.passes.append([(scheduled.slot, len(scheduled.tokens)) for scheduled in batch])
        return super().forward(batch)

    def copy(self, source: int, target: int, count: int) -> None:
        self.copied.append(count)
        super().copy(source, target, count)


def tokens(seed: int, count: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(5, 260) for _ in range(count)]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


async def started(
    path: Path, parallel: int = 4, slots: int | None = None, most: int = 4 * CONTEXT, context: int = CONTEXT
) -> tuple[Scheduler, WatchedModel]:
    scheduler = Scheduler(parallel, max_queue=64)
    model = WatchedModel(path, slots or parallel, context)
    await scheduler.load(lambda: model_runner(model), most)
    return scheduler, model


def sequence(
    prompt: list[int],
    seed: int,
    count: int,
    *,
    stop: Sequence[int] = (),
    constraint: Constraint | None = None,
    background: bool = False,
) -> AnswerSequence:
    sampling = SamplingParams(temperature=1.0, repetition_penalty=1.1, seed=seed)
    sampler = partial(make_sampler, prompt, sampling, 0)
    return AnswerSequence(
        prompt, sampler, max_tokens=count, stop_tokens=stop, constraint=constraint, background=background
    )


async def sampled_tokens(scheduler: Scheduler, one: AnswerSequence) -> AsyncGenerator[SampledToken, None]:
    """The tokens as they are sampled. These sequences do not report their progress."""
    async with aclosing(scheduler.answer(one)) as news:
        async for sampled in news:
            assert isinstance(sampled, SampledToken)
            yield sampled


async def answer(scheduler: Scheduler, one: AnswerSequence) -> list[int]:
    return [sampled.token async for sampled in sampled_tokens(scheduler, one)]


async def until_nothing_runs(scheduler: Scheduler) -> None:
    """Every answer has ended or waits for its client."""
    while scheduler.status()["running"]:  # noqa: ASYNC110 (the scheduler tells nobody)
        await asyncio.sleep(0.01)
