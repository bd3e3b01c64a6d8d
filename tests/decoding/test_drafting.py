"""Drafts, right and wrong, against plain decoding on the real core: nothing but the number of passes may differ."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from chatglm_server.decoding.backends.native import NativeModel
from chatglm_server.decoding.constraints.base import Constraint
from chatglm_server.decoding.constraints.forced_prefix import ForcedPrefix
from chatglm_server.decoding.drafting.base import DRAFT_ROWS, Draft, Drafter
from chatglm_server.decoding.drafting.prompt_lookup import PromptLookup
from chatglm_server.decoding.model import Logits, ScheduledSequence
from chatglm_server.decoding.runner import SampledToken
from chatglm_server.decoding.sampler import make_sampler
from chatglm_server.decoding.scheduler import Scheduler
from chatglm_server.decoding.sequence import AnswerSequence
from chatglm_server.errors import ModelFailure
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.sampling import SamplingParams
from tests.decoding.scheduling import sampled_tokens
from tests.random_expert_gguf import AIR, FLASH
from tests.random_gguf import GLM4_0414, write_random_gguf
from tests.random_models import write_random_model
from tests.token_level import OnlyTokens, model_runner
from tests.toy_backend import ToyModel

CONTEXT = 256
ANSWERS = 2
IDS = 320
"""Token ids that all models here have."""


class CountedModel(NativeModel):
    """The real core, which counts the rows of each pass, by slot."""

    def __init__(self, path: Path, slots: int) -> None:
        super().__init__(read_model_file(path).spec, CONTEXT, slots=slots, threads=2)
        self.passes: list[dict[int, tuple[int, int]]] = []

    def forward(self, batch: Sequence[ScheduledSequence]) -> Logits:
        self.passes.append({one.slot: (len(one.tokens), one.wanted) for one in batch})
        return super().forward(batch)


def sure(tokens: Iterable[int]) -> Draft:
    """A draft whose tokens are claimed to be right, so that a pass reads as many as it may."""
    listed = list(tokens)
    return Draft(listed, [1.0] * len(listed))


class Unjudged:
    """A drafter that does not learn."""

    def judge(self, read: int, right: int, price: float) -> None:
        assert 0 <= right <= read
        assert price >= 0


class Known(Unjudged):
    """Proposes what the answer is known to be, but for a share of wrong tokens."""

    def __init__(self, prompt: list[int], answer: list[int], wrong: float, seed: int) -> None:
        self._text, self._wrong, self._random = [*prompt, *answer], wrong, random.Random(seed)

    def propose(self, tokens: Sequence[int], most: int) -> Draft:
        assert self._text[: len(tokens)] == list(tokens), "the text so far is that of plain decoding"
        following = self._text[len(tokens) : len(tokens) + most]
        wrong = [self._random.random() < self._wrong for _ in following]
        return sure(
            self._random.randrange(IDS) if is_wrong else token for is_wrong, token in zip(wrong, following, strict=True)
        )


class Garbage(Unjudged):
    """Proposes random tokens, more than it may."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def propose(self, tokens: Sequence[int], most: int) -> Draft:
        return sure(self._random.randrange(IDS) for _ in range(most + self._random.randrange(3)))


@dataclass(frozen=True)
class Case:
    """How to sample, and what bounds the answer."""

    sampling: dict[str, Any] = field(default_factory=dict)
    count: int = 40
    constraint: Callable[[], Constraint | None] = lambda: None
    stops: bool = False


def few() -> OnlyTokens:
    return OnlyTokens(range(40, 60), lead=[7, 8, 9])


def openings() -> ForcedPrefix:
    return ForcedPrefix([[7, 8, 9, 10], [7, 8, 30, 31, 32], [7, 11, 12]])


CASES = {
    "greedy": Case({"temperature": 0.0}),
    "sampled": Case({"temperature": 1.0}),
    "hot": Case({"temperature": 5.0, "top_k": 50, "top_p": 0.95}),
    "top_p": Case({"temperature": 1.0, "top_p": 0.8}),
    "min_p": Case({"temperature": 1.5, "min_p": 0.02}),
    "penalties": Case({"temperature": 0.7, "presence_penalty": 1.0, "frequency_penalty": 0.8}),
    "repetition": Case({"temperature": 0.0, "repetition_penalty": 1.3}),
    "bias": Case({"temperature": 1.0, "logit_bias": tuple((token, 4.0) for token in range(50, 70))}),
    "logprobs": Case({"temperature": 1.0, "top_logprobs": 5}),
    "one token": Case({"temperature": 1.0}, count=1),
    "two tokens": Case({"temperature": 1.0}, count=2),
    "to the end of the context": Case({"temperature": 1.0}, count=CONTEXT - 30),
    "stop tokens": Case({"temperature": 1.0}, stops=True),
    "constraint": Case({"temperature": 1.0, "top_logprobs": 2}, constraint=few),
    "greedy constraint": Case({"temperature": 0.0, "frequency_penalty": 1.0}, constraint=few),
    "forced prefix": Case({"temperature": 1.0, "top_logprobs": 1}, constraint=openings),
    "cut in the forced prefix": Case({"temperature": 1.0}, count=2, constraint=openings),
}
PROMPTS = [[random.Random(place).randrange(5, 260) for _ in range(20 + 5 * place)] for place in range(2)]

DrafterOf = Callable[[list[int], list[int], int], Drafter]
DRAFTERS: dict[str, DrafterOf] = {
    "right": lambda prompt, answer, seed: Known(prompt, answer, 0.0, seed),
    "mostly right": lambda prompt, answer, seed: Known(prompt, answer, 0.2, seed),
    "mostly wrong": lambda prompt, answer, seed: Known(prompt, answer, 0.7, seed),
    "garbage": lambda prompt, answer, seed: Garbage(seed),
    "looked up": lambda prompt, answer, seed: PromptLookup(len(prompt), edited(answer, seed)),
}


def edited(tokens: Sequence[int], seed: int) -> list[int]:
    """`tokens` with some replaced, dropped and added."""
    rng, result = random.Random(seed), []
    for token in tokens:
        change = rng.choice(["replaced", "dropped", "added"]) if rng.random() < 0.1 else ""
        result += {"replaced": [rng.randrange(IDS)], "dropped": [], "added": [token, 7]}.get(change, [token])
    return result


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_model(tmp_path_factory.mktemp("model") / "model.bin", max_length=CONTEXT)


def run(main: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(main, 120))


async def started(path: Path, parallel: int = 4, slots: int = 8) -> tuple[Scheduler, CountedModel]:
    scheduler = Scheduler(parallel, max_queue=64)
    model = CountedModel(path, slots)
    await scheduler.load(lambda: model_runner(model), slots * CONTEXT)
    return scheduler, model


def sequence(
    case: Case, prompt: list[int], answer: int, *, stop: Sequence[int] = (), drafter: Drafter | None = None
) -> AnswerSequence:
    sampling = SamplingParams(seed=5, **case.sampling)
    return AnswerSequence(
        prompt,
        partial(make_sampler, prompt, sampling, answer),
        max_tokens=case.count,
        stop_tokens=stop,
        constraint=case.constraint(),
        drafter=drafter,
    )


async def tokens_of(scheduler: Scheduler, one: AnswerSequence) -> list[SampledToken]:
    return [sampled async for sampled in sampled_tokens(scheduler, one)]


async def plain_answers(path: Path, case: Case) -> tuple[list[list[SampledToken]], list[int]]:
    """Two prompts with two answers each, one by one without drafts; and the stop tokens, which occur in them."""
    scheduler, _ = await started(path, parallel=1)
    asked = [(prompt, answer) for prompt in PROMPTS for answer in range(ANSWERS)]
    answers = [await tokens_of(scheduler, sequence(case, *one)) for one in asked]
    if not case.stops:
        return answers, []
    stop = [answers[0][17].token, answers[3][3].token]
    return [await tokens_of(scheduler, sequence(case, *one, stop=stop)) for one in asked], stop


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_drafts_change_nothing(path: Path, case: Case) -> None:
    """Tokens, log probabilities and the end of each answer are equal, alone or in a batch of all."""

    async def main() -> None:
        plain, stop = await plain_answers(path, case)
        assert not stop or any(len(answer) < case.count for answer in plain)
        for name, make in DRAFTERS.items():
            scheduler, _ = await started(path)
            asked = [(prompt, answer) for prompt in PROMPTS for answer in range(ANSWERS)]
            sequences = [
                sequence(case, *one, stop=stop, drafter=make(one[0], [sampled.token for sampled in known], place))
                for place, (one, known) in enumerate(zip(asked, plain, strict=True))
            ]
            first = await tokens_of(scheduler, sequences[0])
            rest = await asyncio.gather(*(tokens_of(scheduler, one) for one in sequences[1:]))
            assert [first, *rest] == plain, name

    run(main())


@dataclass(frozen=True)
class RightFor:
    """Proposes what the answer is known to be for some tokens, and then wrong ones."""

    text: list[int]
    count: int

    def propose(self, tokens: Sequence[int], most: int) -> Draft:
        following = self.text[len(tokens) : len(tokens) + most]
        return sure(token if place < self.count else token ^ 1 for place, token in enumerate(following))

    def judge(self, read: int, right: int, price: float) -> None:
        assert right >= min(read, self.count)


def drafter_of(draw: random.Random, prompt: list[int], answer: list[int]) -> Drafter:
    drafters: list[Drafter] = [
        Known(prompt, answer, 0.0, 0),
        Garbage(draw.randrange(1000)),
        RightFor([*prompt, *answer], draw.randrange(1, 8)),
        PromptLookup(len(prompt), edited(answer, draw.randrange(1000))),
        PromptLookup(len(prompt)),
    ]
    return draw.choice(drafters)


SHAPES = {"glm4": GLM4_0414, "glm-4.7-flash": FLASH, "glm-4.5-air": AIR}


@pytest.mark.parametrize("name", ["chatglm3", *SHAPES])
def test_prompts_with_any_options_beside_each_other(tmp_path: Path, name: str) -> None:
    """Fifty for each network, all with their drafters in one queue: what each says is what it says without, alone."""
    file = write_random_model(tmp_path / "model.bin", max_length=CONTEXT)
    if name in SHAPES:
        file = write_random_gguf(tmp_path / "model.gguf", SHAPES[name], vocabulary="none")
    draw = random.Random(name)
    cases = [replace(case, count=min(case.count, 16)) for case in CASES.values()]
    asked = [(draw.choice(cases), [draw.randrange(5, 260) for _ in range(draw.randrange(2, 30))]) for _ in range(50)]

    async def main() -> None:
        scheduler, _ = await started(file, parallel=1)
        plain, stops = [], []
        for case, prompt in asked:
            answer = await tokens_of(scheduler, sequence(case, prompt, 0))
            stops.append([draw.choice(answer).token] if case.stops else [])
            if case.stops:
                answer = await tokens_of(scheduler, sequence(case, prompt, 0, stop=stops[-1]))
            plain.append(answer)
        scheduler, _ = await started(file)
        drafted = [
            sequence(case, prompt, 0, stop=stop, drafter=drafter_of(draw, prompt, [one.token for one in answer]))
            for (case, prompt), answer, stop in zip(asked, plain, stops, strict=True)
        ]
        assert await asyncio.gather(*(tokens_of(scheduler, one) for one in drafted)) == plain

    run(main())


def test_a_right_draft_spares_passes_and_a_wrong_one_costs_none(path: Path) -> None:
    case = Case({"temperature": 1.0}, count=100)

    async def passes(drafter: Drafter | None) -> tuple[int, int]:
        """How many passes, and how many rows in them."""
        scheduler, model = await started(path)
        await tokens_of(scheduler, sequence(case, PROMPTS[0], 0, drafter=drafter))
        return len(model.passes), sum(tokens for one in model.passes for tokens, _ in one.values())

    async def main() -> None:
        plain, _ = await plain_answers(path, case)
        answer = [sampled.token for sampled in plain[0]]
        rows = len(PROMPTS[0]) + 99
        assert await passes(None) == (100, rows)
        right, read = await passes(Known(PROMPTS[0], answer, 0.0, 0))
        assert read == rows
        assert 1 + -(-99 // DRAFT_ROWS) <= right < 40, "as many as passes of that length pay on this machine"
        with_garbage, _ = await passes(Garbage(1))
        assert 95 < with_garbage <= 100, "a random token may be right"

    run(main())


def test_nothing_is_drafted_behind_a_stop_token(path: Path) -> None:
    """The constraint, which the draft runs ahead, never sees a token after the stop token."""

    class EndsAtStop(OnlyTokens):
        def accept(self, tokens: Sequence[int]) -> None:
            assert 50 not in self.accepted
            super().accept(tokens)

    async def main() -> None:
        case = Case({"temperature": 1.0}, count=60, constraint=lambda: EndsAtStop(range(40, 60)))
        scheduler, _ = await started(path)
        plain = [sampled.token for sampled in await tokens_of(scheduler, sequence(case, PROMPTS[0], 0, stop=[50]))]
        assert plain[-1] == 50
        assert len(plain) < 60
        drafter = Known(PROMPTS[0], [*plain, *range(41, 60)], 0.0, 0)
        drafted = await tokens_of(scheduler, sequence(case, PROMPTS[0], 0, stop=[50], drafter=drafter))
        assert [sampled.token for sampled in drafted] == plain

    run(main())


class Broken(Unjudged):
    """Raises once the answer has three tokens."""

    def propose(self, tokens: Sequence[int], most: int) -> Draft:
        if len(tokens) > len(PROMPTS[0]) + 3:
            raise ValueError("no guess")
        return Draft()


def test_a_drafter_that_fails_ends_its_answer_only(path: Path) -> None:
    async def main() -> None:
        case = Case({"temperature": 1.0}, count=30)
        scheduler, _ = await started(path)
        beside = asyncio.create_task(tokens_of(scheduler, sequence(case, PROMPTS[1], 0)))
        with pytest.raises(ModelFailure, match="its drafter failed: no guess"):
            await tokens_of(scheduler, sequence(case, PROMPTS[0], 0, drafter=Broken()))
        alone, _ = await started(path)
        assert await beside == await tokens_of(alone, sequence(case, PROMPTS[1], 0))

    run(main())


@pytest.mark.parametrize("constraint", [None, OnlyTokens(range(512))], ids=["free", "constrained"])
def test_rejected_tokens_are_truncated(constraint: Constraint | None) -> None:
    """A slot holds what was read and found right, and nothing else: the toy model takes only what follows that."""

    async def main() -> None:
        script = [random.Random(3).randrange(512) for _ in range(40)]
        scheduler, model = Scheduler(1, max_queue=1), ToyModel(512, script, slots=1)
        await scheduler.load(lambda: model_runner(model), 1000)
        drafter = Known(PROMPTS[0], script, 0.3, 4)
        sampler = partial(make_sampler, PROMPTS[0], SamplingParams(temperature=0), 0)
        one = AnswerSequence(PROMPTS[0], sampler, max_tokens=40, stop_tokens=[], constraint=constraint, drafter=drafter)
        assert [sampled.token for sampled in await tokens_of(scheduler, one)] == script
        assert model.held == [[*PROMPTS[0], *script[:-1]]]
        assert len(model.read) < 30, "some of the drafts were right"
        assert sum(model.read) > len(PROMPTS[0]) + 39, "and some were not"

    run(main())


def test_rejected_tokens_leave_the_cache_sound(path: Path) -> None:
    """A conversation goes on after an answer with garbage drafts: what is cached of it is read as if it were fresh."""

    async def main() -> None:
        case = Case({"temperature": 1.0}, count=30)
        scheduler, model = await started(path)
        answer = await tokens_of(scheduler, sequence(case, PROMPTS[0], 0, drafter=Garbage(2)))
        longer = [*PROMPTS[0], *(sampled.token for sampled in answer), 17, 18, 19]
        model.passes.clear()
        warm = await tokens_of(scheduler, sequence(case, longer, 0, drafter=Garbage(3)))
        assert sum(tokens for tokens, _ in model.passes[0].values()) <= 4, "only what is new is read"
        fresh, _ = await started(path)
        assert warm == await tokens_of(fresh, sequence(case, longer, 0))

    run(main())


@pytest.mark.parametrize("parallel", [4, DRAFT_ROWS + 4])
def test_drafts_do_not_push_out_the_rows_of_other_sequences(path: Path, parallel: int) -> None:
    async def main() -> None:
        scheduler, model = await started(path, parallel, slots=parallel)
        case = Case({"temperature": 1.0}, count=25)
        prompts = [[*PROMPTS[0], 9 + place] for place in range(parallel)]
        drafting = {0, 1}
        await asyncio.gather(
            *(
                tokens_of(scheduler, sequence(case, prompt, 0, drafter=Garbage(place) if place in drafting else None))
                for place, prompt in enumerate(prompts)
            )
        )
        together = [one for one in model.passes if len(one) == parallel]
        decodes = [one for one in together if all(tokens == wanted for tokens, wanted in one.values())]
        assert len(decodes) > 10, "all decode together"
        for one in decodes:
            rows = sum(tokens for tokens, _ in one.values())
            assert rows <= max(DRAFT_ROWS, parallel)
        most = max(tokens for one in decodes for tokens, _ in one.values())
        share = 1 + (DRAFT_ROWS - parallel) // 2 if parallel < DRAFT_ROWS else 1
        assert min(2, share) <= most <= share

    run(main())
