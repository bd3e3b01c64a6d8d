"""The order of measuring: rounds of measures, and within a measure one side after the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .measures import MEASURES
from .model_pair import bring_into_memory
from .report import Results, number
from .side import Job
from .side_process import SideFailed, SideProcess

LONG = "long"
"""Has a process of its own with a larger cache; it compares a side with itself only."""
NAMES = ("load", *MEASURES)


class Rounds:
    """Runs measures and fills `results`, `about` and `failed`.

    Every side is a process, loaded once, or once a round if loading is measured; it sleeps while another is measured.
    The order of the sides is reversed from round to round, so that a side does not always follow the same other.
    """

    def __init__(self, jobs: Mapping[str, Job], results: Results, folders: Mapping[str, Sequence[str]]) -> None:
        """`folders` of a side come first on its module path."""
        self._jobs = dict(jobs)
        self._folders = folders
        self.results = results
        self.about: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self.idle_cpu_s = 0.0
        self._running: dict[str, SideProcess] = {}

    def run(self, rounds: int, measures: Sequence[str], skipped: Callable[[str, str], bool]) -> None:
        """Runs measures in the order of `NAMES`, but for those that are `skipped` for a side."""
        chosen = [name for name in NAMES if name in measures and name != LONG]
        try:
            for round_ in range(rounds):
                for name in chosen:
                    for side in list(self._jobs)[:: -1 if round_ % 2 else 1]:
                        if side not in self.failed and not skipped(side, name):
                            self._turn(round_, rounds, name, side)
        finally:
            self._stop_all()

    def run_long(self, pairs: int, sides: Sequence[str]) -> None:
        """Runs the measure of a long context, a side at a time."""
        try:
            for side in sides:
                lengths = self._jobs[side].lengths
                self._jobs[side] = replace(self._jobs[side], context=lengths.long_context, sequences=2)
                for pair in range(pairs):
                    if side not in self.failed:
                        self._turn(pair, pairs, LONG, side)
                self._stop_all()
        finally:
            self._stop_all()

    def _turn(self, round_: int, rounds: int, name: str, side: str) -> None:
        try:
            if name == "load":
                self._stop(side)
            if side not in self._running:
                self._start(side)
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

    def _start(self, side: str) -> None:
        job = self._jobs[side]
        bring_into_memory(Path(job.gguf if side == "llama.cpp" else job.model))
        self._running[side] = SideProcess(job, self._folders.get(side, ()))
        self.about[side] = self._running[side].about

    def _stop(self, side: str) -> None:
        if running := self._running.pop(side, None):
            self.idle_cpu_s += running.idle_cpu_s
            running.stop()

    def _stop_all(self) -> None:
        for side in list(self._running):
            self._stop(side)
