"""From sampled tokens to events, with the real scheduler around a toy model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

import pytest

from chatglm_server.chat import AnswerEvent, Event, Finish, TextDelta
from chatglm_server.decoding.constraints.base import Constraint
from chatglm_server.decoding.constraints.forced_prefix import ForcedPrefix
from chatglm_server.decoding.sampler import make_sampler
from chatglm_server.decoding.scheduler import Scheduler
from chatglm_server.decoding.sequence import MOST_UNREAD, AnswerSequence
from chatglm_server.engine.choice import choice_events
from chatglm_server.engine.choices import merge_choices
from chatglm_server.engine.output import Output, PlainText
from chatglm_server.errors import ModelFailure
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.tokenizer import Tokenizer
from chatglm_server.sampling import SamplingParams
from tests.random_models import write_random_model
from tests.token_level import OnlyTokens, model_runner
from tests.toy_backend import ToyModel

PROMPT = [5, 6, 7]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    file = read_model_file(write_random_model(tmp_path_factory.mktemp("model") / "model.bin"))
    return file.load_tokenizer(FORMATS[file.chat_format])


async def started(script: Sequence[int]) -> tuple[Scheduler, ToyModel]:
    scheduler, model = Scheduler(2, max_queue=10), ToyModel(512, script, slots=4)
    await scheduler.load(lambda: model_runner(model), 100_000)
    return scheduler, model


def events_of(
    scheduler: Scheduler,
    tokenizer: Tokenizer,
    count: int,
    constraint: Constraint | None = None,
    openings: Sequence[Sequence[int]] = (),
) -> AsyncGenerator[AnswerEvent, None]:
    sampler = partial(make_sampler, PROMPT, SamplingParams(seed=1), 0)
    sequence = AnswerSequence(PROMPT, sampler, max_tokens=count, stop_tokens=[511], constraint=constraint)
    return choice_events(
        scheduler,
        tokenizer,
        sequence,
        Output(PlainText()),
        choice=0,
        counts_prompt=True,
        reports_tokens=False,
        openings=openings,
    )


def test_a_constraint_over_a_whole_answer_is_streamed(tokenizer: Tokenizer) -> None:
    """The constraint never ends: its text reaches the client token by token all the same."""

    async def main() -> None:
        letters = [tokenizer.encode_text(letter)[-1] for letter in "xyz"]
        scheduler, model = await started([9])
        texts, passes = [], []
        async for event in events_of(scheduler, tokenizer, 41, OnlyTokens(letters)):
            if isinstance(event, TextDelta):
                texts.append(event.text)
                passes.append(len(model.read))
            else:
                assert isinstance(event, Finish)
                assert (event.reason, event.usage.completion_tokens) == ("length", 41)
        assert len("".join(texts)) == 41
        assert set("".join(texts)) == set("xyz")
        assert passes[0] < 5 < 30 < passes[-1], "while it is generated, not at its end"

    asyncio.run(main())


@pytest.mark.parametrize(("count", "text"), [(3, ""), (5, ""), (6, "xxxxxx"), (7, "xxxxxxx")])
def test_an_answer_that_is_cut_in_its_opening_has_no_content(tokenizer: Tokenizer, count: int, text: str) -> None:
    async def main() -> None:
        (letter,) = tokenizer.encode_text("\nx")[-1:]
        opening = [letter] * 5
        scheduler, _ = await started([letter])
        events = events_of(scheduler, tokenizer, count, ForcedPrefix([opening]), [opening])
        got = [event async for event in events]
        assert "".join(event.text for event in got if isinstance(event, TextDelta)) == text
        assert isinstance(got[-1], Finish)
        assert got[-1].usage.completion_tokens == count

    asyncio.run(main())


def test_an_answer_whose_constraint_allows_nothing_is_an_error(tokenizer: Tokenizer) -> None:
    async def main() -> None:
        scheduler, _ = await started([9])
        with pytest.raises(ModelFailure, match="allows no token"):
            async for _ in events_of(scheduler, tokenizer, 10, OnlyTokens([])):
                pass

    asyncio.run(main())


def test_a_client_that_does_not_read_stops_its_answers_and_no_others(tokenizer: Tokenizer, tmp_path: Path) -> None:
    """What waits for it is bounded: the events, and as many tokens of each answer. Once it reads, it gets all."""

    async def main() -> None:
        (letter,) = tokenizer.encode_text("\nx")[-1:]
        scheduler, model = await started([letter])
        events = merge_choices([events_of(scheduler, tokenizer, 2500) for _ in range(2)], 2, prompt_tokens=1)
        first: list[Event] = [await anext(events) for _ in range(3)]
        read = 0
        while read != (read := sum(model.read)):  # noqa: ASYNC110 (the scheduler tells nobody)
            await asyncio.sleep(0.3)
        assert read < 2 * MOST_UNREAD + 200
        async for event in events_of(scheduler, tokenizer, 5):
            last = event
        assert isinstance(last, Finish)
        everything = [*first, *[event async for event in events]]
        assert sum(len(event.text) for event in everything if isinstance(event, TextDelta)) == 5000
        assert sum(isinstance(event, Finish) for event in everything) == 2

    asyncio.run(asyncio.wait_for(main(), 120))
