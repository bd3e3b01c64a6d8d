"""Runs finished files on the server's own compute core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import chatglm_native
import numpy as np

from chatglm_server.decoding.constraints.base import Constraint, TokenMask, accept_and_force
from chatglm_server.model_files.containers import read_model_file

CONTEXT = 4096


class Runner:
    """Greedy generation from a model file. The tokens that a prompt shares with the one before are not read again."""

    def __init__(self, path: Path, stops: frozenset[int], threads: int) -> None:
        self.stops = stops
        pool = chatglm_native.ThreadPool(threads)
        file = read_model_file(path)
        self.vocab_size = file.spec.vocab_size
        self._model = chatglm_native.Model(pool, file.spec, context=CONTEXT, slots=1)
        self._past: list[int] = []

    def generate(self, prompt: list[int], most: int = 160, constraint: Constraint | None = None) -> list[int]:
        """The new ids, the one that ends the answer included. Each is the likeliest that `constraint` allows."""
        kept = 0
        while kept < min(len(self._past), len(prompt) - 1) and self._past[kept] == prompt[kept]:
            kept += 1
        self._past = prompt[:kept]
        made: list[int] = []
        waiting = prompt[kept:]
        while len(made) < most and (not made or made[-1] not in self.stops):
            rows = [(0, len(self._past) + index, token) for index, token in enumerate(waiting)]
            logits = np.from_dlpack(self._model.forward(rows, [len(rows) - 1]))
            self._past += waiting
            token = int(_allowed(logits[0], constraint).argmax())
            waiting = [token, *accept_and_force(constraint, [token])]
            made += waiting
        return made


def _allowed(logits: Any, constraint: Constraint | None) -> Any:
    """`logits`, with those of forbidden tokens at minus infinity."""
    if constraint is None or constraint.done or constraint.free:
        return logits
    mask = TokenMask(len(logits))
    constraint.fill(mask)
    bits = np.unpackbits(np.frombuffer(mask.words, np.uint8), count=len(logits), bitorder="little")
    return np.where(bits, logits, -np.inf)
