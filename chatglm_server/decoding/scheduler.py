"""The one owner of a model: the sequences that run go through it together, pass by pass (continuous batching).

A pass reads a part of each: of a sequence that is being decoded its last token, of prompts as much as there is room
for. What is drawn does not depend on what else is in the pass; that is the model's promise. All state here is touched
by the event loop's thread only; the model works on a thread of its own.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import TypeVar

from ..queueing.admission import Admission
from ..queueing.status import QueueStatus
from .kv_cache import KVCache, Slot, common_prefix
from .model import Drawn, Model, Part
from .sequence import AnswerSequence

T = TypeVar("T")

_CHUNK_BESIDE_OTHERS = 32  # tokens of prompts in a pass that others wait for, each for its next token
_WORTH_WAITING = 32  # tokens of a prefix that another sequence is about to read


class Scheduler:
    """First come, first served, as many at once as the model has slots."""

    def __init__(self, at_once: int, max_queue: int) -> None:
        """`at_once` requests are expected to run at the same time, `max_queue` more may wait."""
        self._door = Admission(at_once, max_queue)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._waiting: deque[AnswerSequence] = deque()
        self._running: dict[AnswerSequence, Slot] = {}
        self._driver: asyncio.Task[None] | None = None

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._door.stopping

    def status(self) -> QueueStatus:
        """The queue as ``/health`` shows it."""
        running = sum(not sequence.ended for sequence in self._running)
        waiting = sum(not sequence.ended for sequence in self._waiting)
        return {"running": running, "waiting": waiting, "max": self._door.max_queue}

    def admission(self) -> AbstractContextManager[None]:
        """A place in the queue, for as long as the context lasts.

        Raises: QueueFull, ShuttingDown.
        """
        return self._door.place()

    async def load(self, load_model: Callable[[], Model], most_positions: int) -> Model:
        """Have the model loaded on its thread. `most_positions` as for `KVCache`.

        Raises: ShuttingDown, and whatever `load_model` raises.
        """
        model = await self._on_worker(load_model)
        self._door.check_open()
        self._model, self._cache = model, KVCache(model, most_positions)
        return model

    async def answer(self, sequence: AnswerSequence) -> AsyncGenerator[Drawn, None]:
        """The tokens of the answer as they are drawn. Closing the iterator ends the sequence before the next pass.

        Raises: ShuttingDown, ModelFailure.
        """
        self._door.check_open()
        self._waiting.append(sequence)
        if self._driver is None:
            self._driver = asyncio.create_task(self._drive())
        try:
            while (drawn := await sequence.out.get()) is not None:
                if isinstance(drawn, Exception):
                    raise drawn
                yield drawn
        finally:
            sequence.ended = True

    def stop(self) -> None:
        """All who wait or run get ShuttingDown, at the latest after the pass that is being computed."""
        self._door.stopping = True

    async def _drive(self) -> None:
        """Pass after pass, until no sequence is left."""
        try:
            while self._waiting or self._running:
                await self._pass()
                await asyncio.sleep(0)  # whoever got a token may see in it that the answer is over
        except Exception as error:  # ShuttingDown, mostly: each answer's to raise
            for sequence in (*self._running, *self._waiting):
                sequence.fail(error)
            self._let_go()
        finally:
            self._driver = None

    async def _pass(self) -> None:
        self._door.check_open()
        self._let_go()
        self._let_in()
        parts = self._parts()
        pending, self._cache.pending = self._cache.pending, []
        if not parts:
            return
        try:
            drawn = await self._on_worker(lambda: self._compute(pending, list(parts.values())))
        except Exception as error:
            for sequence in self._running:
                sequence.fail(error)
            self._cache.forget_all()  # nobody knows what was done of it
            return
        self._door.check_open()
        for (sequence, part), token in zip(parts.items(), drawn, strict=True):
            self._running[sequence].tokens += part.tokens
            if token is not None and not sequence.ended:
                sequence.take(token)

    def _compute(self, pending: list[Callable[[], None]], parts: list[Part]) -> list[Drawn | None]:
        for action in pending:
            action()
        return self._model.read(parts)

    def _let_go(self) -> None:
        """Free the slots of sequences that have ended."""
        for sequence in [sequence for sequence in self._running if sequence.ended]:
            self._running.pop(sequence).busy = False
        self._waiting = deque(sequence for sequence in self._waiting if not sequence.ended)

    def _let_in(self) -> None:
        """Start those that wait, in their order, as long as there are slots and memory."""
        for sequence in list(self._waiting):
            if not self._cache.free or (self._running and not self._cache.fits(len(sequence.tokens))):
                return
            if not self._should_wait(sequence):
                slot = self._cache.assign(sequence.tokens)
                sequence.begin(len(slot.tokens))
                self._waiting.remove(sequence)
                self._running[sequence] = slot

    def _should_wait(self, sequence: AnswerSequence) -> bool:
        """Whether another sequence is about to read a beginning that both have, which then need not be read twice."""
        known = self._cache.cached(sequence.tokens)
        for other, slot in self._running.items():
            common = min(common_prefix(other.tokens, sequence.tokens), len(sequence.tokens) - 1)
            if common - known >= _WORTH_WAITING and len(slot.tokens) < common:
                return True
        return False

    def _parts(self) -> dict[AnswerSequence, Part]:
        """What the next pass reads; sequences that find no memory wait again, the one that came last first."""
        while True:
            counts = self._counts()
            if self._cache.make_room(sum(counts.values())):
                return {sequence: sequence.part(self._running[sequence], count) for sequence, count in counts.items()}
            last, slot = self._running.popitem()
            slot.busy = False
            self._waiting.appendleft(last)

    def _counts(self) -> dict[AnswerSequence, int]:
        """How many tokens of each sequence to read. Those that are being decoded never wait for prompts, and short
        prompts not for long ones: all have equal parts of what room there is, if they need as much.
        """
        unread = {sequence: len(sequence.tokens) - len(slot.tokens) for sequence, slot in self._running.items()}
        counts = {sequence: 1 for sequence, tokens in unread.items() if tokens == 1}
        room = min(self._model.chunk, _CHUNK_BESIDE_OTHERS) if counts else self._model.chunk
        prompts = sorted((tokens, place) for place, tokens in enumerate(unread.values()) if tokens > 1)
        sequences = list(unread)
        for number, (tokens, place) in enumerate(prompts):
            count = min(tokens, math.ceil(room / (len(prompts) - number)))
            if count:
                counts[sequences[place]] = count
                room -= count
        return counts

    async def _on_worker(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)
