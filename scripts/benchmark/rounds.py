"""The order of measuring: rounds of measures, and within a measure one side after the other."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from .jobs import is_skipped
from .measures import MEASURES
from .model_pair import bring_into_memory
from .report import Results, number
from .side import LLAMA_CPP_SIDES, Job
from .side_process import SideFailed, SideProcess

NAMES = ("load", *MEASURES)


class Rounds:
    """Runs measures and fills `results`, `about` and `failed`.

    Every side is a process, loaded once, or once a round if loading is measured; it sleeps while another is measured.
    The order of the sides is reversed from round to round, so that a side does not always follow the same other.
    """

    def __init__(self, results: Results, folders: Mapping[str, Sequence[str]]) -> None:
        """`folders` of a side come first on its module path."""
        self._folders = folders
        self.results = results
        self.about: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.idle_cpu_s = 0.0
        self._running: dict[str, SideProcess] = {}

    def run(self, jobs: Mapping[str, Job], rounds: int, measures: Sequence[str]) -> None:
        """Runs measures in the order of `NAMES`, but for those that a side does not take."""
        try:
            for round_ in range(rounds):
                for name in (name for name in NAMES if name in measures):
                    for side in list(jobs)[:: -1 if round_ % 2 else 1]:
                        if side not in self.failed and not is_skipped(jobs[side], name):
                            self._turn(round_, rounds, name, side, jobs[side])
        finally:
            for side in list(self._running):
                self._stop(side)

    def _turn(self, round_: int, rounds: int, name: str, side: str, job: Job) -> None:
        try:
            if name == "load":
                self._stop(side)
            if side not in self._running:
                self._start(side, job)
            running = self._running[side]
            if name == "load":
                values = running.loading
            else:
                values = running.measure(name, seed=1 + round_ * len(NAMES) + NAMES.index(name))
        except SideFailed as error:
            self._stop(side)
            self.failed[side] = f"failed in {name}, round {round_ + 1}: {error}"
            print(f"{side}: {self.failed[side]}", file=sys.stderr, flush=True)
            return
        self.results.add(round_, side, values)
        shown = ", ".join(f"{number(value)} {self.results.figures[key].unit}" for key, value in values.items())
        print(f"round {round_ + 1} of {rounds}, {name}, {side}: {shown}", file=sys.stderr, flush=True)

    def _start(self, side: str, job: Job) -> None:
        bring_into_memory(Path(job.gguf if job.side in LLAMA_CPP_SIDES else job.model))
        self._running[side] = running = SideProcess(job, self._folders.get(side, ()))
        self.about[side], self.results.kernels[side] = running.about, running.kernels

    def _stop(self, side: str) -> None:
        if running := self._running.pop(side, None):
            self.idle_cpu_s += running.idle_cpu_s
            running.stop()
