"""The one owner of a model: the sequences that run go through it together, pass by pass (continuous batching).

A forward pass has steps of several sequences. A sequence that decodes reads its last token, forced tokens and a draft;
a prefill gets as much as there is room for beside these. A sampled token does not depend on what else is in the pass;
that is the model's promise. All state here belongs to the event loop's thread; the model, samplers and
constraints work on a thread of their own.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from ..errors import ModelFailure, WaitTooLong
from ..queueing.admission import Admission
from ..queueing.status import CacheStatus, DiskStatus, DraftStatus, QueueStatus, ReadingStatus, TokenStatus
from ..sampling import SamplingParams
from .batch import WORTH_WAITING, Batch
from .drafting.recent_answers import RecentAnswers
from .idle_timer import IdleTimer
from .model_memory import ModelMemory
from .pass_drafts import PassDrafts
from .queue_estimate import Present, QueueEstimate
from .runner import PromptProgress, Runner, SampledToken, Sampler, Step, StepResult
from .sequence import AnswerSequence, Phase
from .snapshots.snapshots import Moves, Snapshots

T = TypeVar("T")

_PAUSE_S = 0.05  # between looks at answers that all wait for their clients
_CONSTRAINT_PAUSE_S = 0.002  # between looks at constraints that are not ready


class Scheduler:
    """Lets requests in, runs passes over the batch as long as there is work, and gives each answer its tokens.

    The model may be unloaded while no sequence is left. The next one loads it again.
    """

    def __init__(self, parallel: int, max_queue: int, unload_after_s: float = math.inf) -> None:
        """`parallel` sequences run at the same time; as many requests, and `max_queue` more that wait, are let in.

        `unload_after_s`: seconds without a request after which the model is unloaded, unless the last one chose others.
        """
        self._admission = Admission(parallel, max_queue)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._memory = ModelMemory(self._worker, self._begin_idling)
        self._drafting = PassDrafts()
        self._batch = Batch(parallel, self._memory, self._drafting)
        self._driver: asyncio.Task[None] | None = None
        self._estimate = QueueEstimate(parallel, WORTH_WAITING)
        self._pass_began: float | None = None  # None: no pass is under way
        self._unload_after_s = unload_after_s
        self._idle_timer = IdleTimer(unload_after_s, self.unload)
        self.tokens: TokenStatus = {"read": 0, "generated": 0}
        """Tokens that passes have read in prefills, and that they have generated, since the start."""
        self.recent = RecentAnswers()
        """Answers with drafts."""

    @property
    def stopping(self) -> bool:
        """True if `stop` was called."""
        return self._admission.stopping

    @property
    def loaded(self) -> bool:
        """True while the model is in memory."""
        return self._memory.loaded

    @property
    def loading(self) -> bool:
        """True while the model is on its way into memory, if only for a request that has been cancelled."""
        return self._memory.loading

    @property
    def unloads_in_s(self) -> float:
        """Seconds until the model is unloaded, if no request comes; infinite: never."""
        return self._idle_timer.left_s

    @property
    def kv_disk(self) -> DiskStatus | None:
        """The traffic of prefixes that are kept on disk; None if none are."""
        return self._memory.disk_status()

    @property
    def drafts(self) -> DraftStatus:
        """Draft tokens that passes have verified, and accepted, since the start."""
        return self._drafting.status

    @property
    def snapshots(self) -> Snapshots | None:
        """The prefixes on disk; None if none are kept, or while the model is unloaded."""
        return self._memory.snapshots

    @property
    def idle(self) -> bool:
        """True if there is nothing to compute, and nothing to copy out for the disk."""
        return self._driver is None

    def status(self) -> QueueStatus:
        """The queue as ``/health`` shows it."""
        running = sum(not sequence.ended for sequence in self._batch.running)
        waiting = sum(not sequence.ended for sequence in self._batch.waiting)
        return {"running": running, "waiting": waiting, "max": self._admission.max_queue}

    @property
    def load_s(self) -> float:
        """Seconds that the model took to load, the last time; 0 before the first."""
        return self._memory.load_s

    def wait_s(self) -> float | None:
        """Seconds to the first token of the shortest request that comes now; None if no pass was run yet."""
        present = self._present()
        return None if present is None else self._estimate.first_token_s(present)

    def all_done_s(self) -> float:
        """Seconds until nothing is left to do, if no request comes, as far as is known."""
        present = self._present()
        return 0.0 if present is None else self._estimate.all_done_s(present)

    def check_wait(self, tokens: Sequence[int], limit_s: float | None, *, background: bool) -> None:
        """Raises: WaitTooLong, if the first token after the prompt `tokens` would come later than in `limit_s`. If the
        client is told when to come again, an unloaded model is loaded until then.
        """
        present = self._present()
        if limit_s is None or present is None:
            return
        try:
            self._estimate.check(present, tokens, limit_s, background=background)
        except WaitTooLong as error:
            if error.retry_after is not None:
                self._start_driver()
            raise

    def _present(self) -> Present | None:
        """None until the model was loaded for the first time."""
        since = None if self._pass_began is None else time.perf_counter() - self._pass_began
        if self.loaded:
            cache, chunk = self._memory.cache, self._memory.runner.chunk
            return Present(self._batch.running, self._batch.waiting, cache, chunk, since)
        if (cold := self._memory.cold) is None:
            return None
        return Present(self._batch.running, self._batch.waiting, cold, cold.chunk, -self._memory.load_left_s())

    def kv_cache(self) -> CacheStatus:
        """How full the KV cache is. The model has to be loaded, or to have been."""
        return self._memory.cache_status()

    def reading(self) -> list[ReadingStatus]:
        """The prompts that are being read, as ``/health`` shows them."""
        now = time.perf_counter()
        return [
            {
                "tokens": sequence.prompt_length,
                "cached": sequence.cached or 0,
                "read": sequence.read,
                "seconds": round(now - sequence.began, 1),
            }
            for sequence in self._batch.running
            if sequence.phase == Phase.PREFILL and not sequence.ended
        ]

    @contextmanager
    def admission(self, keep_s: float | None = None) -> Iterator[None]:
        """A place in the queue, for as long as the context lasts.

        `keep_s`: seconds without a request after which the model is unloaded from now on; None: as the server was told.

        Raises: QueueFull, ShuttingDown.
        """
        try:
            with self._admission.place():
                self._idle_timer.cancel()
                self._idle_timer.seconds = self._unload_after_s if keep_s is None else keep_s
                yield
        finally:
            self._begin_idling()

    async def load(self, load_runner: Callable[[], Runner], most_positions: int) -> Runner:
        """Have the model loaded on its thread, now and after each `unload`. `most_positions` as for `KVCache`.

        Raises: ShuttingDown, and whatever `load_runner` raises.
        """
        self._memory.is_loaded_by(load_runner, most_positions)
        return await self._load()

    async def wake(self) -> None:
        """Load the model, if it was unloaded. Raises: as `load` does."""
        if not self.loaded:
            await self._load()

    def unload(self) -> Future[None] | None:
        """Give the memory of the model and of the KV cache back; the future ends once that is done. Returns None if a
        request is here: then the time until the model is unloaded begins anew when it is over.
        """
        if not self.loaded or self._driver is not None or self._admission.admitted:
            return None
        return self._memory.give_back()

    def _begin_idling(self) -> None:
        """Begin the time until the model is unloaded, unless a request is here."""
        if self._driver is None and not self._admission.admitted and not self._admission.stopping:
            self._idle_timer.restart()

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams, answer: int) -> Sampler:
        """As `Runner.sampler`, of the model that is loaded when it is called. On the model's thread."""
        return self._memory.runner.sampler(prompt, sampling, answer)

    async def answer(self, sequence: AnswerSequence) -> AsyncGenerator[SampledToken | PromptProgress, None]:
        """The tokens of the answer as they are sampled, and before them the progress of the prompt, if it is reported.
        Closing the iterator ends the sequence before the next pass.

        Raises: ShuttingDown, ModelFailure.
        """
        self._admission.check_open()
        self._batch.waiting.append(sequence)
        self._start_driver()
        try:
            while (token := await sequence.out.get()) is not None:
                if isinstance(token, Exception):
                    raise token
                yield token
        finally:
            sequence.ended = True
            self._estimate.note_answer(sequence)
            if sequence.drafts:
                self.recent.add(sequence.tokens, sequence.prompt_length)

    def stop(self) -> None:
        """End all answers with ShuttingDown, at the latest after the current pass."""
        self._admission.stopping = True

    async def close(self) -> None:
        """Wait until the last pass has ended, and what it gave the disk is written. Call `stop` first."""
        if self._driver is not None:
            await asyncio.gather(self._driver, return_exceptions=True)
        self._idle_timer.cancel()
        await self._memory.close()

    def _start_driver(self) -> None:
        """Have passes run, if none do. Mutates the scheduler."""
        self._idle_timer.cancel()
        if self._driver is None:
            self._driver = asyncio.create_task(self._drive())

    async def _drive(self) -> None:
        """Run passes until no sequence is left. Loads the model first, if it was unloaded."""
        try:
            if not self.loaded:
                await self._load()
            while self._batch.has_work:
                pause = await self._pass()
                await asyncio.sleep(pause)  # here clients get their tokens, and may close their answers
        except Exception as error:  # mostly ShuttingDown; every answer raises it
            self._batch.fail(error)
        finally:
            self._driver = self._pass_began = None
            self._begin_idling()

    async def _load(self) -> Runner:
        """Raises: ShuttingDown, and whatever the loader raises."""
        runner = await self._memory.load()
        self._admission.check_open()
        return runner

    async def _pass(self) -> float:
        """One forward pass, if there is one to do. Returns how many seconds to wait before the next."""
        self._admission.check_open()
        self._batch.release()
        self._batch.admit()
        await self._begin_answers()
        steps = self._batch.steps()
        moves = self._batch.moves(steps)
        if not steps and not moves:
            self._pass_began = None
            return self._pause()
        if self._pass_began is None:
            self._pass_began = time.perf_counter()
        pending, self._memory.cache.pending = self._memory.cache.pending, []
        try:
            results, seconds = await self._on_worker(lambda: self._forward(pending, moves, list(steps.values())))
        except Exception as error:
            for sequence in self._batch.running:
                sequence.fail(error)
            self._memory.cache.drop_all()  # the slots may hold anything
            self._pass_began = None
            return 0
        self._admission.check_open()
        self._note_cost(steps, results, seconds)
        self._batch.note_moves(moves)
        self._note_time(steps, results, moves)
        for (sequence, step), result in zip(steps.items(), results, strict=True):
            self._advance(sequence, step, result)
        return 0

    def _pause(self) -> float:
        """How many seconds to wait if there is nothing to read."""
        if self._batch.running:
            return _CONSTRAINT_PAUSE_S
        return _PAUSE_S if all(sequence.falls_behind() for sequence in self._batch.waiting) else 0

    def _forward(
        self, pending: list[Callable[[], None]], moves: Moves, steps: list[Step]
    ) -> tuple[list[StepResult | ModelFailure], float]:
        """The results of a pass, and the seconds that it took."""
        for action in pending:
            action()
        if self._memory.snapshots is not None:
            self._memory.snapshots.carry_out(moves)
        started = time.perf_counter()
        return self._memory.runner.run(steps) if steps else [], time.perf_counter() - started

    def _note_cost(
        self, steps: dict[AnswerSequence, Step], results: Sequence[StepResult | ModelFailure], seconds: float
    ) -> None:
        """Learn what a pass with a sequence that decodes costs, and a token of a prompt."""
        if self._memory.snapshots is not None:
            self._memory.snapshots.note_pass(sum(len(step.tokens) for step in steps.values()), seconds)
        if any(sequence.phase == Phase.DECODE for sequence in steps):
            drafted = sum(result.drafted for result in results if isinstance(result, StepResult))
            self._drafting.note_pass(sum(len(step.tokens) for step in steps.values()) + drafted, seconds, drafted)

    def _note_time(
        self, steps: dict[AnswerSequence, Step], results: Sequence[StepResult | ModelFailure], moves: Moves
    ) -> None:
        """Learn how long it is from pass to pass, what happens between them included."""
        now = time.perf_counter()
        if self._pass_began is not None and not moves.restores:
            self._estimate.note_pass(steps, results, now - self._pass_began)
        self._pass_began = now

    def _advance(self, sequence: AnswerSequence, step: Step, result: StepResult | ModelFailure) -> None:
        """Note what a step read into its slot, and give the sequence what was sampled."""
        held = self._batch.running[sequence].tokens
        held += step.tokens
        if isinstance(result, ModelFailure):
            sequence.fail(result)
            return
        held += (sampled.token for sampled in result.sampled[:-1])
        if sequence.phase == Phase.PREFILL:
            self.tokens["read"] += len(step.tokens)
        self.tokens["generated"] += len(result.sampled) + len(result.forced)
        self._drafting.note_result(result)
        if not sequence.ended:
            if not result.sampled:
                sequence.note_read(len(held))
            sequence.advance(result, self._drafting.price)

    async def _begin_answers(self) -> None:
        """Begin the answers that have not begun, and whose constraints are ready."""
        new = [sequence for sequence in self._batch.running if not sequence.prepared]
        if not new:
            return
        for sequence, forced in zip(new, await self._on_worker(lambda: [_prepare(one) for one in new]), strict=True):
            if isinstance(forced, Exception):
                sequence.fail(forced)
            elif forced is not None:
                sequence.begin(forced)
        self._batch.release()  # those that failed, or are complete already

    async def _on_worker(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)


def _prepare(sequence: AnswerSequence) -> Sequence[int] | Exception | None:
    try:
        return sequence.prepare()
    except Exception as error:  # it ends its own answer only
        return error
