"""Answers that are known beforehand, written by an engine with and without drafts.

Every pass is computed as always. Only then the logit of the token that the recorded answer has there is raised, so that
it is sampled. So drafts are right or wrong by the text alone, and cost what they cost.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from chatglm_server.decoding.drafting.prompt_lookup import PromptLookup
from chatglm_server.decoding.model import Logits, ScheduledSequence
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.decoding.runner import SampledToken
from chatglm_server.decoding.sampler import make_sampler
from chatglm_server.decoding.scheduler import Scheduler
from chatglm_server.decoding.sequence import AnswerSequence
from chatglm_server.sampling import SamplingParams

from .draft_texts import Conversation

_RAISED = 1e9


class RecordedModel:
    """The core's `model`, which answers as `text` goes on, in the order of the tokens' positions."""

    slots = 1
    reuses_prefixes = True

    def __init__(self, model: Any, vocab_size: int, chunk: int) -> None:
        self._model = model
        self.vocab_size = vocab_size
        self.chunk = chunk
        self.text: Sequence[int] = ()

    def forward(self, batch: Sequence[ScheduledSequence]) -> Logits:
        """As `Model.forward`; of one sequence."""
        (one,) = batch
        end = one.position + len(one.tokens)
        rows = [(one.slot, position, token) for position, token in enumerate(one.tokens, one.position)]
        logits: Logits = self._model.forward(rows, list(range(len(rows) - one.wanted, len(rows))))
        if one.wanted:
            following = self.text[end - one.wanted + 1 : end + 1]
            values = np.from_dlpack(logits)
            values[np.arange(len(following)), following] = _RAISED
        return logits

    def truncate(self, slot: int, kept: int) -> None:
        self._model.truncate(slot, kept)

    def copy(self, source: int, target: int, count: int) -> None:
        self._model.copy(source, target, count)


class RecordedAnswers:
    """The scheduler of the server over a recorded model. What passes cost is learned from answer to answer."""

    def __init__(self, model: Any, pool: Any, vocab_size: int, chunk: int, most_positions: int) -> None:
        self._model = RecordedModel(model, vocab_size, chunk)
        self._scheduler = Scheduler(1, max_queue=1)
        runner = ModelRunner(self._model, pool)
        asyncio.run(self._loaded(lambda: runner, most_positions))

    def seconds(self, one: Conversation, *, drafts: bool) -> float:
        """From the first token of the answer to the last."""
        return asyncio.run(self._seconds(one, drafts))

    async def _loaded(self, load: Callable[[], ModelRunner], most_positions: int) -> None:
        await self._scheduler.load(load, most_positions)

    async def _seconds(self, one: Conversation, drafts: bool) -> float:
        prompt, answer = one.prompt, one.answer
        self._model.text = [*prompt, *answer]
        sampling = SamplingParams(temperature=0)
        sequence = AnswerSequence(
            list(prompt),
            partial(make_sampler, prompt, sampling, 0),
            max_tokens=len(answer),
            stop_tokens=(),
            drafter=PromptLookup(len(prompt), others=one.others) if drafts else None,
        )
        written = []
        started = 0.0
        async for sampled in self._scheduler.answer(sequence):
            assert isinstance(sampled, SampledToken)
            started = started or time.perf_counter()
            written.append(sampled.token)
        assert written == list(answer)
        return time.perf_counter() - started
