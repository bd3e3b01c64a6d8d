"""Sequences that are answered together, by the real core: each gets what it gets alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Sequence
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatglm_server.decoding.backends.native import NativeModel
from chatglm_server.decoding.constraints.forced_prefix import Openings
from chatglm_server.decoding.model import Drawn, Part
from chatglm_server.decoding.scheduler import Scheduler
from chatglm_server.decoding.sequence import AnswerSequence, Mask
from chatglm_server.errors import ModelFailure, QueueFull, ShuttingDown
from chatglm_server.model_files.chatglm_bin import read_model_file
from chatglm_server.model_files.chatglm_bin_spec import model_spec
from chatglm_server.sampling import SamplingParams
from tests.random_models import write_random_model

CONTEXT = 512


class WatchedModel(NativeModel):
    """The real core, and a note of what it was given to read."""

    def __init__(self, path: Path, slots: int) -> None:
        super().__init__(model_spec(read_model_file(path)), CONTEXT, slots=slots, threads=2)
        self.passes: list[list[tuple[int, int]]] = []
        self.copied: list[int] = []
        self.forgotten = 0
        self.broken = False

    def read(self, parts: Sequence[Part]) -> list[Drawn | None]:
        if self.broken:
            raise ModelFailure("out of order")
        self.passes.append([(part.slot, len(part.tokens)) for part in parts])
        return super().read(parts)

    def copy(self, source: int, target: int, count: int) -> None:
        self.copied.append(count)
        super().copy(source, target, count)

    def forget(self, slot: int, kept: int) -> None:
        self.forgotten += 1
        super().forget(slot, kept)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", max_length=CONTEXT)


def tokens(seed: int, count: int) -> list[int]:
    rng = random.Random(seed)
    return [rng.randrange(5, 260) for _ in range(count)]


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, 120))


async def started(path: Path, slots: int = 4, most: int = 4 * CONTEXT) -> tuple[Scheduler, WatchedModel]:
    scheduler = Scheduler(slots, max_queue=64)
    model = WatchedModel(path, slots)
    await scheduler.load(lambda: model, most)
    return scheduler, model


def sequence(
    model: NativeModel, prompt: list[int], seed: int, count: int, *, stop: Sequence[int] = (), mask: Mask | None = None
) -> AnswerSequence:
    sampling = SamplingParams(temperature=1.0, repetition_penalty=1.1, seed=seed)
    sampler = partial(model.sampler, prompt, sampling)
    return AnswerSequence(prompt, sampler, max_tokens=count, stop_tokens=stop, mask=mask)


async def answer(scheduler: Scheduler, one: AnswerSequence) -> list[int]:
    return [drawn.token async for drawn in scheduler.answer(one)]


REQUESTS = [(tokens(place // 3, 20 + 37 * place % 200), place, 5 + place % 7 * 6) for place in range(14)]
"""Prompt, seed, length: three each that begin alike."""


async def one_by_one(path: Path) -> list[list[int]]:
    answers = []
    for request in REQUESTS:
        scheduler, model = await started(path, slots=1)
        answers.append(await answer(scheduler, sequence(model, *request)))
    return answers


@pytest.mark.parametrize("most", [4 * CONTEXT, CONTEXT], ids=["room for all", "room for one context"])
def test_the_same_seed_gives_the_same_answer_under_any_load(path: Path, most: int) -> None:
    async def main() -> None:
        alone = await one_by_one(path)
        scheduler, model = await started(path, most=most)
        together = await asyncio.gather(*(answer(scheduler, sequence(model, *request)) for request in REQUESTS))
        assert together == alone
        assert max(map(len, model.passes)) == 4, "four at a time"
        assert scheduler.status()["running"] == 0

    run(main())


def test_answers_that_outgrow_the_memory_wait_and_go_on(path: Path) -> None:
    """Two of 300 tokens, each let in while it was short, where 512 have room: one waits, and neither shows it."""

    async def main() -> None:
        requests = [(tokens(seed, 20), seed, 300) for seed in (50, 51)]
        scheduler, model = await started(path, slots=2, most=CONTEXT)
        together = await asyncio.gather(*(answer(scheduler, sequence(model, *request)) for request in requests))
        assert [len(parts) for parts in model.passes].count(2) > 100, "together as long as there was room"
        assert len(model.passes[-1]) == 1
        lone, model = await started(path, slots=1, most=CONTEXT)
        assert [await answer(lone, sequence(model, *request)) for request in requests] == together

    run(main())


def test_a_prompt_that_many_share_is_read_once(path: Path) -> None:
    async def main() -> None:
        shared = tokens(60, 300)
        scheduler, model = await started(path)
        await asyncio.gather(
            *(answer(scheduler, sequence(model, [*shared, *tokens(61 + n, 4)], n, 2)) for n in range(8))
        )
        assert sum(count for parts in model.passes for _, count in parts) < 300 + 8 * (4 + 32 + 2)
        assert all(count >= 300 - 32 for count in model.copied)

    run(main())


def test_nobody_waits_for_a_long_prompt(path: Path) -> None:
    """While one prompt is read, an answer that is being written gets a token from every pass."""

    async def main() -> None:
        scheduler, model = await started(path)
        async with aclosing(scheduler.answer(sequence(model, tokens(70, 5), 1, 60))) as writing:
            await anext(writing)
            begun = len(model.passes)
            await answer(scheduler, sequence(model, tokens(71, 400), 2, 1))
            during = model.passes[begun + 1 :]
        assert len(during) >= 400 // 32, "read in small parts"
        assert all(1 in (count for _, count in parts) for parts in during)

    run(main())


def test_a_short_prompt_does_not_wait_for_a_long_one(path: Path) -> None:
    async def main() -> None:
        scheduler, model = await started(path)
        long = asyncio.create_task(answer(scheduler, sequence(model, tokens(75, 450), 1, 1)))
        await answer(scheduler, sequence(model, tokens(76, 50), 2, 1))
        assert not long.done()
        await long

    run(main())


def test_closing_an_answer_frees_its_slot(path: Path) -> None:
    async def main() -> None:
        scheduler, model = await started(path, slots=1)
        async with aclosing(scheduler.answer(sequence(model, [5], 1, 400))) as drawn:
            await anext(drawn)
        assert len(await answer(scheduler, sequence(model, tokens(80, 9), 3, 4))) == 4
        assert len(model.passes) < 20
        assert scheduler.status() == {"running": 0, "waiting": 0, "max": 64}

    run(main())


def test_a_stop_token_ends_the_answer(path: Path) -> None:
    async def main() -> None:
        scheduler, model = await started(path)
        whole = await answer(scheduler, sequence(model, [5, 6], 9, 20))
        got = await answer(scheduler, sequence(model, [5, 6], 9, 20, stop=[whole[7]]))
        assert got == whole[: whole.index(whole[7]) + 1]

    run(main())


def test_a_mask_decides_how_answers_begin(path: Path) -> None:
    async def main() -> None:
        scheduler, model = await started(path)
        openings = [[7, 8, 9, 10], [7, 8, 30, 31, 32]]
        for seed in range(6):
            got = await answer(scheduler, sequence(model, tokens(90 + seed, 40), seed, 12, mask=Openings(openings)))
            assert len(got) == 12
            assert any(got[: len(opening)] == opening for opening in openings)
        cut = await answer(scheduler, sequence(model, [5], 1, 2, mask=Openings(openings)))
        assert cut == [7, 8]

    run(main())


def test_a_failure_ends_those_it_concerns_and_no_more(path: Path) -> None:
    async def main() -> None:
        scheduler, model = await started(path)
        expected = await answer(scheduler, sequence(model, tokens(95, 50), 1, 5))
        model.broken = True
        with pytest.raises(ModelFailure, match="out of order"):
            await answer(scheduler, sequence(model, tokens(95, 50), 1, 5))
        model.broken = False
        assert await answer(scheduler, sequence(model, tokens(95, 50), 1, 5)) == expected

    run(main())


def test_stop_ends_those_that_run_and_those_that_wait(path: Path) -> None:
    async def main() -> None:
        scheduler, model = await started(path, slots=1)
        async with aclosing(scheduler.answer(sequence(model, [5], 1, 400))) as first:
            others = [asyncio.create_task(answer(scheduler, sequence(model, tokens(n, 5), n, 400))) for n in range(3)]
            await anext(first)
            scheduler.stop()
            with pytest.raises(ShuttingDown):
                async for _ in first:
                    pass
        for result in await asyncio.gather(*others, return_exceptions=True):
            assert isinstance(result, ShuttingDown)
        with pytest.raises(ShuttingDown), scheduler.admission():
            pass

    run(main())


def test_the_queue_is_bounded() -> None:
    scheduler = Scheduler(2, max_queue=1)
    with scheduler.admission(), scheduler.admission(), scheduler.admission(), pytest.raises(QueueFull, match="of 1 "):
        scheduler.admission().__enter__()
