"""Sequences that are answered together, by the real core: each gets what it gets alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.forced_prefix import ForcedPrefix
from chatglm_server.decoding.runner import Sampler
from chatglm_server.decoding.scheduler import Scheduler
from chatglm_server.decoding.sequence import AnswerSequence
from chatglm_server.errors import ModelFailure, QueueFull, ShuttingDown
from tests.decoding.scheduling import CONTEXT, answer, run, sampled_tokens, sequence, started, tokens
from tests.random_models import write_random_model
from tests.token_level import OnlyTokens


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", max_length=CONTEXT)


REQUESTS = [(tokens(place // 3, 20 + 37 * place % 200), place, 5 + place % 7 * 6) for place in range(14)]
"""Prompt, seed, length: three each that begin alike."""


async def one_by_one(path: Path) -> list[list[int]]:
    answers = []
    for request in REQUESTS:
        scheduler, _ = await started(path, parallel=1)
        answers.append(await answer(scheduler, sequence(*request)))
    return answers


@pytest.mark.parametrize("most", [4 * CONTEXT, CONTEXT], ids=["room for all", "room for one context"])
def test_the_same_seed_gives_the_same_answer_under_any_load(path: Path, most: int) -> None:
    async def main() -> None:
        alone = await one_by_one(path)
        scheduler, model = await started(path, most=most)
        together = await asyncio.gather(*(answer(scheduler, sequence(*request)) for request in REQUESTS))
        assert together == alone
        assert max(map(len, model.passes)) == 4, "four at a time"
        assert scheduler.status()["running"] == 0

    run(main())


def test_a_prompt_that_many_share_is_read_once(path: Path) -> None:
    async def main() -> None:
        shared = tokens(60, 300)
        scheduler, model = await started(path)
        await asyncio.gather(*(answer(scheduler, sequence([*shared, *tokens(61 + n, 4)], n, 2)) for n in range(8)))
        assert sum(count for parts in model.passes for _, count in parts) < 300 + 8 * (4 + 32 + 2)
        assert all(count >= 300 - 32 for count in model.copied)

    run(main())


def test_nobody_waits_for_a_long_prompt(path: Path) -> None:
    """While one prompt is read, an answer that is being written gets a token from every pass."""

    async def main() -> None:
        scheduler, model = await started(path)
        async with aclosing(scheduler.answer(sequence(tokens(70, 5), 1, 60))) as writing:
            await anext(writing)
            begun = len(model.passes)
            await answer(scheduler, sequence(tokens(71, 400), 2, 1))
            during = model.passes[begun + 1 :]
        assert len(during) >= 400 // 32, "read in small parts"
        assert all(1 in (count for _, count in parts) for parts in during)

    run(main())


def test_a_short_prompt_does_not_wait_for_a_long_one(path: Path) -> None:
    async def main() -> None:
        scheduler, _ = await started(path)
        long = asyncio.create_task(answer(scheduler, sequence(tokens(75, 450), 1, 1)))
        await answer(scheduler, sequence(tokens(76, 50), 2, 1))
        assert not long.done()
        await long

    run(main())


def test_closing_an_answer_frees_its_slot(path: Path) -> None:
    async def main() -> None:
        scheduler, model = await started(path, parallel=1)
        async with aclosing(scheduler.answer(sequence([5], 1, 400))) as drawn:
            await anext(drawn)
        assert len(await answer(scheduler, sequence(tokens(80, 9), 3, 4))) == 4
        assert len(model.passes) < 20
        assert scheduler.status() == {"running": 0, "waiting": 0, "max": 64}

    run(main())


@pytest.mark.parametrize("parallel", [1, 4])
def test_the_background_makes_way_and_writes_the_same(path: Path, parallel: int) -> None:
    """Paused ten times, in its prompt and in its answer. While others run, no pass has a row of it."""

    async def main() -> None:
        prompt = tokens(90, 300)
        alone, _ = await started(path)
        expected = await answer(alone, sequence(prompt, 5, 200))
        scheduler, model = await started(path, parallel=parallel, slots=8)
        behind = asyncio.create_task(answer(scheduler, sequence(prompt, 5, 200, background=True)))
        for number in range(10):
            done = len(model.passes)
            while len(model.passes) < done + 4:  # noqa: ASYNC110 (the model tells nobody)
                await asyncio.sleep(0.001)
            assert not behind.done()
            others = [sequence(tokens(91 + number, 40), number + place, 8) for place in range(2)]
            running = [asyncio.create_task(answer(scheduler, one)) for one in others]
            await asyncio.sleep(0)
            begun = len(model.passes) + 1  # one may be on its way
            await running[0]
            slots = {slot for parts in model.passes[begun:] for slot, _ in parts}
            assert len(slots) <= min(parallel, 2)
            assert [len(one) for one in await asyncio.gather(*running)] == [8, 8]
        assert await behind == expected

    run(main())


def test_the_background_waits_its_turn(path: Path) -> None:
    async def main() -> None:
        scheduler, _ = await started(path, parallel=1)
        order: list[str] = []

        async def ask(name: str, background: bool) -> None:
            await answer(scheduler, sequence(tokens(95, 9), 1, 5, background=background))
            order.append(name)

        requests = (("background 1", True), ("background 2", True), ("person 1", False), ("person 2", False))
        await asyncio.gather(*(ask(*request) for request in requests))
        assert order == ["person 1", "person 2", "background 1", "background 2"]

    run(main())


def test_a_stop_token_ends_the_answer(path: Path) -> None:
    async def main() -> None:
        scheduler, _ = await started(path)
        whole = await answer(scheduler, sequence([5, 6], 9, 20))
        got = await answer(scheduler, sequence([5, 6], 9, 20, stop=[whole[7]]))
        assert got == whole[: whole.index(whole[7]) + 1]

    run(main())


def test_a_mask_decides_how_answers_begin(path: Path) -> None:
    async def main() -> None:
        scheduler, _ = await started(path)
        openings = [[7, 8, 9, 10], [7, 8, 30, 31, 32]]
        for seed in range(6):
            got = await answer(scheduler, sequence(tokens(90 + seed, 40), seed, 12, constraint=ForcedPrefix(openings)))
            assert len(got) == 12
            assert any(got[: len(opening)] == opening for opening in openings)
        cut = await answer(scheduler, sequence([5], 1, 2, constraint=ForcedPrefix(openings)))
        assert cut == [7, 8]

    run(main())


def test_a_failure_ends_those_it_concerns_and_no_more(path: Path) -> None:
    async def main() -> None:
        scheduler, model = await started(path)
        expected = await answer(scheduler, sequence(tokens(95, 50), 1, 5))
        model.broken = True
        with pytest.raises(ModelFailure, match="out of order"):
            await answer(scheduler, sequence(tokens(95, 50), 1, 5))
        model.broken = False
        assert await answer(scheduler, sequence(tokens(95, 50), 1, 5)) == expected

    run(main())


def test_stop_ends_those_that_run_and_those_that_wait(path: Path) -> None:
    async def main() -> None:
        scheduler, _ = await started(path, parallel=1)
        async with aclosing(scheduler.answer(sequence([5], 1, 400))) as first:
            others = [asyncio.create_task(answer(scheduler, sequence(tokens(n, 5), n, 400))) for n in range(3)]
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


def test_a_constraint_that_allows_nothing_ends_the_answer_with_an_error(path: Path) -> None:
    async def main() -> None:
        scheduler, _ = await started(path)
        beside = asyncio.create_task(answer(scheduler, sequence(tokens(150, 9), 1, 30)))
        got = []
        with pytest.raises(ModelFailure, match="its constraint allows no token"):
            async for sampled in sampled_tokens(
                scheduler, sequence([5, 6], 1, 30, constraint=OnlyTokens([], lead=[7, 8]))
            ):
                got.append(sampled.token)
        assert got == [7, 8]
        alone, _ = await started(path)
        assert await beside == await answer(alone, sequence(tokens(150, 9), 1, 30))

    run(main())


class Broken(OnlyTokens):
    """Raises in one of its methods once some tokens are accepted."""

    def __init__(self, method: str, after: int) -> None:
        super().__init__(range(70, 90))
        self.method, self.after = method, after

    def fill(self, mask: TokenMask) -> None:
        self._break("fill")
        super().fill(mask)

    def forced(self) -> list[int]:
        self._break("forced")
        return super().forced()

    def accept(self, tokens: Sequence[int]) -> None:
        self._break("accept")
        super().accept(tokens)

    def _break(self, method: str) -> None:
        if method == self.method and len(self.accepted) >= self.after:
            raise ValueError("no grammar")


@pytest.mark.parametrize("method", ["fill", "forced", "accept"])
@pytest.mark.parametrize("after", [0, 3])
def test_a_constraint_that_fails_ends_its_answer_only(path: Path, method: str, after: int) -> None:
    async def main() -> None:
        scheduler, _ = await started(path)
        beside = asyncio.create_task(answer(scheduler, sequence(tokens(151, 9), 1, 30)))
        got = []
        with pytest.raises(ModelFailure, match="its constraint failed: no grammar"):
            async for sampled in sampled_tokens(scheduler, sequence([5, 6], 1, 30, constraint=Broken(method, after))):
                got.append(sampled.token)
        assert len(got) <= after
        alone, _ = await started(path)
        assert await beside == await answer(alone, sequence(tokens(151, 9), 1, 30))
        # what it read is sound
        assert await answer(scheduler, sequence([5, 6], 1, 10)) == await answer(alone, sequence([5, 6], 1, 10))

    run(main())


def test_a_sampler_that_cannot_be_made_ends_its_answer_only(path: Path) -> None:
    async def main() -> None:
        scheduler, _ = await started(path)

        def no_sampler() -> Sampler:
            raise MemoryError("no sampler")

        beside = asyncio.create_task(answer(scheduler, sequence(tokens(152, 9), 1, 30)))
        with pytest.raises(MemoryError, match="no sampler"):
            await answer(scheduler, AnswerSequence([5, 6], no_sampler, max_tokens=30, stop_tokens=[]))
        alone, _ = await started(path)
        assert await beside == await answer(alone, sequence(tokens(152, 9), 1, 30))

    run(main())


def test_a_constraint_is_used_on_the_models_thread(path: Path) -> None:
    threads: set[str] = set()

    class Noting(OnlyTokens):
        def fill(self, mask: TokenMask) -> None:
            threads.add(threading.current_thread().name)
            super().fill(mask)

        def forced(self) -> list[int]:
            threads.add(threading.current_thread().name)
            return super().forced()

        def accept(self, tokens: Sequence[int]) -> None:
            threads.add(threading.current_thread().name)
            super().accept(tokens)

    async def main() -> None:
        scheduler, _ = await started(path)
        await answer(scheduler, sequence([5, 6], 1, 30, constraint=Noting(range(70, 90), lead=[7, 8])))

    run(main())
    assert threads == {"model_0"}


class Late(OnlyTokens):
    """Is ready when the test says so, and is asked for nothing before."""

    ready = False

    def forced(self) -> list[int]:
        assert self.ready
        return super().forced()


@pytest.mark.parametrize("lead", [[], tokens(170, 8)], ids=["no lead", "lead"])
def test_a_prompt_is_read_while_its_constraint_is_made(path: Path, lead: list[int]) -> None:
    """Others do not wait for it, and the answer is the same."""

    async def main() -> None:
        scheduler, model = await started(path)
        late = Late(range(70, 90), lead)
        beside = asyncio.create_task(answer(scheduler, sequence(tokens(171, 9), 2, 30)))
        waiting = asyncio.create_task(answer(scheduler, sequence(tokens(172, 300), 1, 20, constraint=late)))
        other = await beside
        while sum(count for parts in model.passes for _, count in parts) < 9 + 29 + 299:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        passes = len(model.passes)
        await asyncio.sleep(0.02)
        assert len(model.passes) == passes, "all but the last token of the prompt is read, and nothing sampled"
        assert not waiting.done()
        late.ready = True
        got = await waiting
        alone, _ = await started(path)
        ready = sequence(tokens(172, 300), 1, 20, constraint=OnlyTokens(range(70, 90), lead))
        assert got == await answer(alone, ready)
        assert other == await answer(alone, sequence(tokens(171, 9), 2, 30))

    run(main())


def test_an_answer_that_is_closed_before_its_constraint_is_ready_frees_its_slot(path: Path) -> None:
    async def main() -> None:
        scheduler, _ = await started(path, parallel=1)
        waiting = asyncio.create_task(answer(scheduler, sequence([5, 6], 1, 20, constraint=Late(range(70, 90)))))
        await asyncio.sleep(0.01)
        waiting.cancel()
        assert len(await answer(scheduler, sequence([5, 6], 1, 20))) == 20

    run(main())


def test_forced_tokens_are_read_with_the_next_one(path: Path) -> None:
    """They take no pass of their own, and do not count as a prompt that others could be waiting for."""

    async def main() -> None:
        scheduler, model = await started(path)
        lead = tokens(160, 8)
        got = await answer(scheduler, sequence(tokens(161, 40), 1, 20, constraint=OnlyTokens(range(70, 90), lead=lead)))
        assert got[:8] == lead
        assert all(70 <= token < 90 for token in got[8:])
        assert [count for ((_, count),) in model.passes] == [48, *[1] * 11]

    run(main())


def test_the_queue_is_bounded() -> None:
    scheduler = Scheduler(2, max_queue=1)
    with scheduler.admission(), scheduler.admission(), scheduler.admission(), pytest.raises(QueueFull, match="of 1 "):
        scheduler.admission().__enter__()
