"""Schedulers that share a folder of prefixes, one after the other, as a server that is started again does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from chatglm_server.decoding.backends.native import NativeModel
from chatglm_server.decoding.model import Logits, ScheduledSequence
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.decoding.scheduler import Scheduler
from chatglm_server.decoding.snapshots.options import SnapshotOptions, open_snapshots
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import CacheType, ModelSpec
from tests.decoding.scheduling import answer, sequence

CONTEXT = 1024


@dataclass
class Result:
    """Answers, how many tokens of each prompt were cached, and how many tokens passes have read."""

    answers: list[list[int]] = field(default_factory=list)
    cached: list[int] = field(default_factory=list)
    read: int = 0


class CountingModel(NativeModel):
    """The real core, and how many tokens it has read."""

    read = 0

    def forward(self, batch: Sequence[ScheduledSequence]) -> Logits:
        self.read += sum(len(scheduled.tokens) for scheduled in batch)
        return super().forward(batch)


def spec_of(path: Path, cache_type: CacheType = "f16") -> ModelSpec:
    return replace(read_model_file(path).spec, cache_type=cache_type)


def serve(
    spec: ModelSpec,
    prompts: list[list[int]],
    folder: Path | None,
    *,
    after_s: float = 0,
    most_bytes: int = 1 << 30,
    memory: int = 8 * CONTEXT,
    together: bool = False,
    threads: int = 2,
    count: int = 20,
) -> Result:
    """Load a model, answer prompts one after the other, or together, and write what is to be written."""
    result = Result()

    async def main() -> None:
        model = CountingModel(spec, CONTEXT, slots=8, threads=threads)
        options = SnapshotOptions(folder, most_bytes, after_s, "tiny") if folder else None
        snapshots = open_snapshots(options, spec, model) if options else None
        scheduler = Scheduler(4, 64)
        await scheduler.load(lambda: ModelRunner(model, model.pool, snapshots), memory)
        sequences = [sequence(prompt, 3, count) for prompt in prompts]
        if together:
            result.answers += await asyncio.gather(*(answer(scheduler, one) for one in sequences))
        else:
            for one in sequences:
                result.answers.append(await answer(scheduler, one))
        while not scheduler.idle:  # noqa: ASYNC110 (the scheduler tells nobody)
            await asyncio.sleep(0.005)
        await scheduler.close()
        result.cached += [one.cached or 0 for one in sequences]
        result.read = model.read

    asyncio.run(asyncio.wait_for(main(), 120))
    return result
