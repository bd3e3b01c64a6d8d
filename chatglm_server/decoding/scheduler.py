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
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from ..errors import ModelFailure, WaitTooLong
from ..queueing.admission import Admission
from ..queueing.status import CacheStatus, DiskStatus, DraftStatus, QueueStatus, ReadingStatus, TokenStatus
from ..sampling import SamplingParams
from .drafting.recent_answers import RecentAnswers
from .idle_timer import IdleTimer
from .kv_cache import Slot, common_prefix
from .model_memory import ModelMemory
from .pass_drafts import PassDrafts
from .pass_shares import pass_shares
from .queue_estimate import Present, QueueEstimate
from .runner import PromptProgress, Runner, SampledToken, Sampler, Step, StepResult
from .sequence import AnswerSequence, Phase
from .snapshots.snapshots import Moves, Snapshots

T = TypeVar("T")

_WORTH_WAITING = 32  # tokens of a prefix that another sequence is about to read
_PAUSE_S = 0.05  # between looks at answers that all wait for their clients
_CONSTRAINT_PAUSE_S = 0.002  # between looks at constraints that are not ready


class Scheduler:
    """First come, first served, at most `parallel` at once.

    A background sequence is paused while others run or could run: it goes on where it was, and writes the same text.

    A sequence whose client does not read is paused: it gives its place to others, and waits again until the client has
    caught up. Its prefix stays in the KV cache as long as there is room.

    The model may be unloaded while no sequence is left. The next one loads it again.
    """

    def __init__(self, parallel: int, max_queue: int, unload_after_s: float = math.inf) -> None:
        """`parallel` sequences run at the same time; as many requests, and `max_queue` more that wait, are let in.

        `unload_after_s`: seconds without a request after which the model is unloaded, unless the last one chose others.
        """
        self._parallel = parallel
        self._admission = Admission(parallel, max_queue)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._waiting: deque[AnswerSequence] = deque()
        self._running: dict[AnswerSequence, Slot] = {}
        self._driver: asyncio.Task[None] | None = None
        self._drafting = PassDrafts()
        self._estimate = QueueEstimate(parallel, _WORTH_WAITING)
        self._pass_began: float | None = None  # None: no pass is under way
        self._memory = ModelMemory(self._worker)
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
        running = sum(not sequence.ended for sequence in self._running)
        waiting = sum(not sequence.ended for sequence in self._waiting)
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
            return Present(self._running, self._waiting, cache, chunk, since)
        if (cold := self._memory.cold) is None:
            return None
        return Present(self._running, self._waiting, cold, cold.chunk, -self._memory.load_left_s())

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
            for sequence in self._running
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
        runner = await self._load()
        self._begin_idling()
        return runner

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
        self._waiting.append(sequence)
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
            while self._waiting or self._running or self._unsaved():
                pause = await self._pass()
                await asyncio.sleep(pause)  # here clients get their tokens, and may close their answers
        except Exception as error:  # mostly ShuttingDown; every answer raises it
            for sequence in (*self._running, *self._waiting):
                sequence.fail(error)
            self._release()
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
        self._release()
        self._admit()
        await self._begin_answers()
        steps = self._steps()
        moves = self._moves(steps)
        if not steps and not moves:
            self._pass_began = None
            return self._pause()
        if self._pass_began is None:
            self._pass_began = time.perf_counter()
        pending, self._memory.cache.pending = self._memory.cache.pending, []
        try:
            results, seconds = await self._on_worker(lambda: self._forward(pending, moves, list(steps.values())))
        except Exception as error:
            for sequence in self._running:
                sequence.fail(error)
            self._memory.cache.drop_all()  # the slots may hold anything
            self._pass_began = None
            return 0
        self._admission.check_open()
        self._note_cost(steps, results, seconds)
        self._note_moves(moves)
        self._note_time(steps, results, moves)
        for (sequence, step), result in zip(steps.items(), results, strict=True):
            self._advance(sequence, step, result)
        return 0

    def _pause(self) -> float:
        """How many seconds to wait if there is nothing to read."""
        if self._running:
            return _CONSTRAINT_PAUSE_S
        return _PAUSE_S if all(sequence.falls_behind() for sequence in self._waiting) else 0

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

    def _moves(self, steps: dict[AnswerSequence, Step]) -> Moves:
        """What goes to disk, and comes from there, before the pass over `steps`. A sequence whose prefix has no room in
        memory waits again.
        """
        if self._memory.snapshots is None:
            return Moves()
        read = sum(len(step.tokens) + len(step.draft) for step in steps.values())
        moves = self._memory.snapshots.plan(
            self._memory.cache.slots,
            lambda tokens: self._memory.cache.make_room(read + tokens),
            short=any(sequence.phase == Phase.DECODE for sequence in steps),
        )
        coming = [restore.slot for restore in moves.restores]
        for sequence, slot in reversed(list(self._running.items())):
            if slot.awaited and slot not in coming:
                self._suspend(sequence)
        return moves

    def _note_moves(self, moves: Moves) -> None:
        """Note what came from disk in its slots, and as cached in their sequences."""
        if self._memory.snapshots is not None and moves.restores:
            sequences = {slot.index: sequence for sequence, slot in self._running.items()}
            for restore in moves.restores:
                sequences[restore.slot.index].note_restored(self._memory.snapshots.note_restore(restore))

    def _unsaved(self) -> bool:
        """True if a slot holds something that should go to disk."""
        return self._memory.snapshots is not None and bool(self._memory.snapshots.unsaved(self._memory.cache.slots))

    def _advance(self, sequence: AnswerSequence, step: Step, result: StepResult | ModelFailure) -> None:
        """Note what a step read into its slot, and give the sequence what was sampled."""
        held = self._running[sequence].tokens
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

    def _release(self) -> None:
        """Free the slots of sequences that have ended, and of those whose clients are behind."""
        for sequence in [sequence for sequence in self._running if sequence.ended]:
            self._running.pop(sequence).busy = False
        for sequence in [sequence for sequence in reversed(self._running) if sequence.falls_behind()]:
            self._suspend(sequence)
        self._waiting = deque(sequence for sequence in self._waiting if not sequence.ended)

    def _suspend(self, sequence: AnswerSequence) -> None:
        """Have a running sequence wait again, in front of those that came later."""
        self._running.pop(sequence).busy = False
        self._waiting.appendleft(sequence)

    def _admit(self) -> None:
        """Start waiting sequences, in their order, as long as there are places and memory. Those in the background make
        way for others.
        """
        known = (*self._running, *self._waiting)
        others = any(not (sequence.background or sequence.falls_behind()) for sequence in known)
        if others:
            for sequence in [sequence for sequence in reversed(self._running) if sequence.background]:
                self._suspend(sequence)
        for sequence in list(self._waiting):
            if len(self._running) == self._parallel or not self._memory.cache.free:
                break
            if sequence.falls_behind() or (sequence.background and others):
                continue
            if self._running and not self._memory.cache.fits(len(sequence.tokens)):
                break
            if not self._should_wait(sequence):
                slot = self._memory.cache.assign(sequence.tokens)
                sequence.admit(len(slot.tokens))
                self._waiting.remove(sequence)
                self._running[sequence] = slot

    async def _begin_answers(self) -> None:
        """Begin the answers that have not begun, and whose constraints are ready."""
        new = [sequence for sequence in self._running if not sequence.prepared]
        if not new:
            return
        for sequence, forced in zip(new, await self._on_worker(lambda: [_prepare(one) for one in new]), strict=True):
            if isinstance(forced, Exception):
                sequence.fail(forced)
            elif forced is not None:
                sequence.begin(forced)
        self._release()  # those that failed, or are complete already

    def _should_wait(self, sequence: AnswerSequence) -> bool:
        """True if another sequence is about to read a prefix that both share: waiting spares reading it twice."""
        known = self._memory.cache.cached(sequence.tokens)
        for other, slot in self._running.items():
            common = min(common_prefix(other.tokens, sequence.tokens), len(sequence.tokens) - 1)
            if common - known >= _WORTH_WAITING and len(slot.tokens) < common:
                return True
        return False

    def _steps(self) -> dict[AnswerSequence, Step]:
        """The steps of the next pass. If memory is short, the sequence that came last waits again."""
        counts = self._counts()
        drafts = self._drafts(counts)
        while True:
            steps = {
                sequence: sequence.step(self._running[sequence], count, drafts.get(sequence, ()))
                for sequence, count in counts.items()
            }
            if self._memory.cache.make_room(sum(len(step.tokens) + len(step.draft) for step in steps.values())):
                return steps
            if drafts:
                drafts = {}
            else:
                self._suspend(next(reversed(self._running)))
                counts = self._counts()

    def _drafts(self, counts: dict[AnswerSequence, int]) -> dict[AnswerSequence, Sequence[int]]:
        """The drafts for the sequences that decode, as long as pays in a pass that reads `counts` tokens besides."""
        if not self._memory.runner.verifies_drafts:
            return {}
        decoding = [
            sequence
            for sequence, count in counts.items()
            if sequence.phase == Phase.DECODE and len(self._running[sequence].tokens) + count == len(sequence.tokens)
        ]
        return self._drafting.of_pass(decoding, sum(counts.values()))

    def _counts(self) -> dict[AnswerSequence, int]:
        """How many tokens each sequence reads, of those that read any."""
        reading = [(sequence, slot) for sequence, slot in self._running.items() if not slot.awaited]
        unread = [sequence.readable - len(slot.tokens) for sequence, slot in reading]
        decodes = [sequence.phase == Phase.DECODE for sequence, _ in reading]
        shares = pass_shares(unread, decodes, self._memory.runner.chunk)
        return {sequence: share for (sequence, _), share in zip(reading, shares, strict=True) if share}

    async def _on_worker(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, function)


def _prepare(sequence: AnswerSequence) -> Sequence[int] | Exception | None:
    try:
        return sequence.prepare()
    except Exception as error:  # it ends its own answer only
        return error
