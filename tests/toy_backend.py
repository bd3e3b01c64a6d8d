"""A toy backend: one model that gives logits, in a few lines of NumPy, and the class that a line of the table names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from chatglm_server.decoding.backends import BackendOptions
from chatglm_server.decoding.model import ScheduledSequence
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.model_files.model_file import ModelFile
from tests.token_level import model_runner


class ToyModel:
    """Says `script`, token by token, and then its last token again and again; its caches are lists of tokens."""

    chunk = 16
    reuses_prefixes = True

    def __init__(self, vocab_size: int, script: Sequence[int], slots: int) -> None:
        self.vocab_size, self.slots = vocab_size, slots
        self.script = list(script)
        self.held: list[list[int]] = [[] for _ in range(slots)]
        self.read: list[int] = []
        """Tokens of each pass."""

    def forward(self, batch: Sequence[ScheduledSequence]) -> npt.NDArray[np.float32]:
        self.read.append(sum(len(scheduled.tokens) for scheduled in batch))
        rows: list[npt.NDArray[np.float32]] = []
        for scheduled in batch:
            held = self.held[scheduled.slot]
            assert scheduled.position == len(held), "a gap, or what should have been truncated"
            held += scheduled.tokens
            rows += (self._logits(held[: len(held) - ahead]) for ahead in reversed(range(scheduled.wanted)))
        return np.array(rows, np.float32).reshape(-1, self.vocab_size)

    def truncate(self, slot: int, kept: int) -> None:
        del self.held[slot][kept:]

    def copy(self, source: int, target: int, count: int) -> None:
        self.held[target] = self.held[source][:count]

    def _logits(self, tokens: list[int]) -> npt.NDArray[np.float32]:
        said = next(
            count for count in range(len(self.script), -1, -1) if tokens[len(tokens) - count :] == self.script[:count]
        )
        following = self.script[min(said, len(self.script) - 1)]
        row = np.random.default_rng(following).normal(0, 1, self.vocab_size).astype(np.float32)
        row[following] = 20
        return row


class ToyBackend:
    """Runs every file, and says `script` whatever its weights are."""

    gives_logits = True
    most_parallel = None
    script: ClassVar[list[int]] = []

    def obstacle(self, file: ModelFile) -> str:
        return ""

    def check(self, options: BackendOptions) -> None:
        """Needs nothing."""

    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ModelRunner:
        return model_runner(ToyModel(file.spec.vocab_size, self.script, options.parallel))
