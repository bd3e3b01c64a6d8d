"""Estimates of the wait for a first token, against what came: the real scheduler and core, in virtual time.

Each pass of the core moves a clock by a known cost, and requests come at given times of that clock.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest

from chatglm_server.decoding import scheduler as scheduling
from chatglm_server.decoding.model import Logits, ScheduledSequence
from chatglm_server.decoding.scheduler import Scheduler
from chatglm_server.errors import WaitTooLong
from tests.decoding.scheduling import WatchedModel, answer, run, sampled_tokens, sequence, tokens
from tests.random_models import write_random_model
from tests.token_level import model_runner

CONTEXT = 4096
LEARNING = 4  # requests by which the scheduler learns


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", max_length=CONTEXT)


class Clock:
    """The time that the scheduler reads."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class TimedModel(WatchedModel):
    """The real core, whose passes take what a model of six billion weights takes on a laptop; nearly."""

    def __init__(self, path: Path, slots: int, clock: Clock, passed: Callable[[], object]) -> None:
        super().__init__(path, slots, CONTEXT)
        self.chunk = 256
        self._clock = clock
        self._passed = passed
        self._noise = random.Random(7)

    def forward(self, batch: Sequence[ScheduledSequence]) -> Logits:
        logits = super().forward(batch)
        rows = sum(len(one.tokens) for one in batch)
        deep = sum(len(one.tokens) * (one.position + len(one.tokens) / 2) for one in batch)
        self._clock.now += (0.12 + 0.011 * rows + 4e-6 * deep) * self._noise.uniform(0.9, 1.1)
        self._passed()
        return logits


@dataclass
class Request:
    """A request that comes `at` a time. What was estimated then, and what came, is filled in."""

    at: float
    prompt: list[int]
    count: int
    background: bool = False
    estimate: float | None = None
    came: float = 0.0
    waited: float = 0.0


async def serve(
    path: Path, monkeypatch: pytest.MonkeyPatch, parallel: int, requests: list[Request]
) -> tuple[Scheduler, Clock]:
    """Each request's estimate and its wait."""
    clock, loop = Clock(), asyncio.get_running_loop()
    monkeypatch.setattr(scheduling, "time", clock)
    scheduler = Scheduler(parallel, max_queue=64)
    left, tasks = sorted(requests, key=lambda one: one.at), []

    async def answer(one: Request, came: float) -> None:
        number = requests.index(one)
        one.came = came
        present = scheduler._present()
        assert present is not None
        one.estimate = scheduler._estimate.first_token_s(present, one.prompt, background=one.background)
        asked = sequence(one.prompt, number, one.count, background=one.background)
        async with aclosing(sampled_tokens(scheduler, asked)) as news:
            await anext(news)
            one.waited = clock.now - came
            async for _ in news:
                pass

    def come() -> None:
        while left and left[0].at <= clock.now:
            one = left.pop(0)
            tasks.append(asyncio.create_task(answer(one, clock.now)))

    # before the scheduler hears of the end of the pass: so the order of events is always the same
    model = TimedModel(path, 2 * parallel + 8, clock, lambda: loop.call_soon_threadsafe(come))
    await scheduler.load(lambda: model_runner(model), 4 * CONTEXT)
    while left:
        clock.now = max(clock.now, left[0].at)
        come()
        while not scheduler.idle or not all(task.done() for task in tasks):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return scheduler, clock


def mixed(seed: int) -> list[Request]:
    """First some requests by which the scheduler learns, then a queue of all kinds."""
    rng = random.Random(seed)
    shared = tokens(1, 700)
    requests = [Request(0.0, tokens(2, 900), 30), Request(0.0, tokens(3, 40), 60), Request(0.0, tokens(4, 100), 45)]
    requests.append(Request(0.0, [*shared, *tokens(5, 10)], 10))
    for number in range(16):
        at = 150 + rng.uniform(0, 30)
        kind = number % 4
        if kind == 0:
            prompt = [*shared, *tokens(100 + number, rng.randrange(20, 60))]
        elif kind == 1:
            prompt = tokens(100 + number, rng.randrange(1000, 2000))
        else:
            prompt = tokens(100 + number, rng.randrange(20, 300))
        requests.append(Request(at, prompt, rng.choice((8, 30, 80)), background=number == 6))
    return requests


def overtaken(one: Request, requests: list[Request]) -> bool:
    """True if a request that came later was answered first, or shared passes with its prompt: nobody can know of it."""
    first = one.came + one.waited
    return any(other.came > one.came and other.came + other.waited <= first for other in requests)


@pytest.mark.parametrize("parallel", [1, 2, 4])
def test_a_mixed_queue(path: Path, monkeypatch: pytest.MonkeyPatch, parallel: int) -> None:
    """Short and long prompts, cached ones, and one in the background: within 30%, for all that are not overtaken."""

    async def main() -> None:
        requests = mixed(parallel)
        await serve(path, monkeypatch, parallel, requests)
        assert [one.estimate for one in requests[:1]] == [None], "nothing was measured yet"
        known = [one for one in requests[LEARNING:] if not overtaken(one, requests)]
        assert len(known) >= 10
        for one in known:
            assert one.estimate is not None
            assert 0.7 * one.waited <= one.estimate <= 1.3 * one.waited, (one.at, one.estimate, one.waited)

    run(main())


def test_a_refused_request_may_come_again_when_it_was_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A little sooner it would be refused again; then it is let in."""

    async def main() -> None:
        clock, loop = Clock(), asyncio.get_running_loop()
        monkeypatch.setattr(scheduling, "time", clock)
        scheduler, told = Scheduler(2, max_queue=64), [0.0]

        def refusal() -> WaitTooLong | None:
            try:
                scheduler.check_wait(tokens(9, 60), 5.0, background=False)
            except WaitTooLong as error:
                return error
            return None

        def passed() -> None:
            if clock.now >= told[0] > 0:
                tries.append(refusal())
                told[0] = 0.0

        tries: list[WaitTooLong | None] = []
        model = TimedModel(path, 8, clock, lambda: loop.call_soon_threadsafe(passed))
        await scheduler.load(lambda: model_runner(model), 4 * CONTEXT)
        for share in (0.8, 1.1):
            for number in range(2):
                await answer(scheduler, sequence(tokens(20 + number, 300), number, 40))
            assert refusal() is None
            running = [asyncio.create_task(answer(scheduler, sequence(tokens(n, 200), n, 80))) for n in range(30, 36)]
            while scheduler.status()["running"] < 2:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0)
            refused = refusal()
            assert refused is not None
            assert refused.retry_after is not None
            assert refused.retry_after > 20
            told[0] = clock.now + share * refused.retry_after
            await asyncio.gather(*running)
        soon, then = tries
        assert soon is not None
        assert then is None

    run(main())
