"""Runs finished files on the server's own compute core."""

from __future__ import annotations

from pathlib import Path

import chatglm_native
import numpy as np

from chatglm_server.model_files.containers import read_model_file

CONTEXT = 4096


class Runner:
    """Greedy generation from a model file. The tokens that a prompt shares with the one before are not read again."""

    def __init__(self, path: Path, stops: frozenset[int], threads: int) -> None:
        self.stops = stops
        pool = chatglm_native.ThreadPool(threads)
        self._model = chatglm_native.Model(pool, read_model_file(path).spec, context=CONTEXT, slots=1)
        self._past: list[int] = []

    def generate(self, prompt: list[int], most: int = 160) -> list[int]:
        """The new ids, the one that ends the answer included."""
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
            waiting = [int(logits[0].argmax())]
            made += waiting
        return made
