"""What the scheduler holds: prefixes of earlier answers, answers that outgrow the memory, clients that do not read."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from chatglm_server.decoding.sequence import MOST_UNREAD
from chatglm_server.errors import ShuttingDown
from tests.decoding.scheduling import (
    CONTEXT,
    answer,
    run,
    sampled_tokens,
    sequence,
    started,
    tokens,
    until_nothing_runs,
)
from tests.random_models import write_random_model


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", max_length=CONTEXT)


def test_answers_that_outgrow_the_memory_wait_and_go_on(path: Path) -> None:
    """Two of 300 tokens, each let in while it was short, where 512 have room: one waits, and neither shows it."""

    async def main() -> None:
        requests = [(tokens(seed, 20), seed, 300) for seed in (50, 51)]
        scheduler, model = await started(path, parallel=2, most=CONTEXT)
        together = await asyncio.gather(*(answer(scheduler, sequence(*request)) for request in requests))
        assert [len(parts) for parts in model.passes].count(2) > 100, "together as long as there was room"
        assert len(model.passes[-1]) == 1
        lone, model = await started(path, parallel=1, most=CONTEXT)
        assert [await answer(lone, sequence(*request)) for request in requests] == together

    run(main())


def test_conversations_that_take_turns_read_only_what_is_new(path: Path) -> None:
    """Twelve with the same beginning, four at a time: each turn goes on where the one before it ended."""

    async def main() -> None:
        scheduler, model = await started(path, parallel=4, slots=16, most=16 * CONTEXT)
        beginning = tokens(100, 60)
        talks = [[*beginning, *tokens(101 + place, 20)] for place in range(12)]
        for turn in range(4):
            model.passes.clear()
            sequences = [sequence(talk, turn, 6) for talk in talks]
            answers = await asyncio.gather(*(answer(scheduler, one) for one in sequences))
            assert max(map(len, model.passes)) == 4
            if turn:
                for talk, one in zip(talks, sequences, strict=True):
                    assert one.cached == len(talk) - 11, "what was asked, and the last token of the answer"
                assert sum(count for steps in model.passes for _, count in steps) == 12 * (11 + 5)
            talks = [[*talk, *got, *tokens(200 + turn, 10)] for talk, got in zip(talks, answers, strict=True)]

    run(main())


def test_kept_prefixes_give_way_to_those_that_run(path: Path) -> None:
    """There is room for one context: the prefixes of earlier answers are dropped, the oldest first."""

    async def main() -> None:
        scheduler, _ = await started(path, parallel=2, slots=8, most=CONTEXT)
        prompts = [tokens(110 + place, 150) for place in range(4)]
        alone = [await answer(scheduler, sequence(prompt, 1, 8)) for prompt in prompts]
        again = sequence(prompts[3], 1, 8)
        assert await answer(scheduler, again) == alone[3]
        assert again.cached == 149
        assert [await answer(scheduler, sequence(prompt, 1, 8)) for prompt in prompts] == alone
        assert await answer(scheduler, sequence(tokens(120, CONTEXT - 20), 1, 19)) != []

    run(main())


def test_who_does_not_read_gives_its_place_to_others(path: Path) -> None:
    """Four clients ask for more than may wait for them and read nothing: others are answered, and no token is lost."""

    async def main() -> None:
        long_path = write_random_model(path.with_name("long.bin"), max_length=2048)
        requests = [(tokens(130 + place, 5), place, MOST_UNREAD + 300) for place in range(4)]
        scheduler, model = await started(long_path, context=2048, most=8 * 2048)
        unread = [sequence(*request) for request in requests]
        async with AsyncExitStack() as clients:
            answers = [await clients.enter_async_context(aclosing(sampled_tokens(scheduler, one))) for one in unread]
            first = [(await anext(one)).token for one in answers]
            await until_nothing_runs(scheduler)
            assert all(MOST_UNREAD <= one.out.qsize() <= MOST_UNREAD + 1 for one in unread)
            passes = len(model.passes)
            assert len(await answer(scheduler, sequence(tokens(140, 9), 3, 20))) == 20
            await asyncio.sleep(0.2)
            assert len(model.passes) == passes + 20, "nothing else is computed meanwhile"
            whole = [[token] for token in first]
            for tokens_read, one in zip(whole, answers, strict=True):
                tokens_read += [sampled.token async for sampled in one]
        fresh, _ = await started(long_path, context=2048, most=8 * 2048)
        assert whole == [await answer(fresh, sequence(*request)) for request in requests]

    run(main())


def test_stop_ends_those_that_wait_for_their_clients(path: Path) -> None:
    async def main() -> None:
        long_path = write_random_model(path.with_name("long.bin"), max_length=2048)
        scheduler, _ = await started(long_path, context=2048, most=8 * 2048)
        async with aclosing(scheduler.answer(sequence([5], 1, MOST_UNREAD + 300))) as unread:
            await anext(unread)
            await until_nothing_runs(scheduler)
            scheduler.stop()
            with pytest.raises(ShuttingDown):
                async for _ in unread:
                    pass

    run(main())
