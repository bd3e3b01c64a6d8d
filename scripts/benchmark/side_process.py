"""The parent's end of a side: starts the process, sends it measures, and reports its failures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from .side import Job

ROOT = Path(__file__).resolve().parent.parent.parent
_LAST_WORDS = 2000


class SideFailed(Exception):
    """A side cannot go on; the message is one line."""


class SideProcess:
    """A side that is loaded once the constructor returns. Raises: SideFailed, here and in `measure`."""

    def __init__(self, job: Job, folders: Sequence[str] = ()) -> None:
        """`folders` come first on the module path of the process; `job` has absolute paths."""
        inherited = [str(Path(path).resolve()) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
        paths = [*folders, str(ROOT), str(ROOT / "scripts"), *inherited]
        # Without GGML_NO_BACKTRACE llama.cpp runs a debugger that prints its stack after the reason for a failure.
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "GGML_NO_BACKTRACE": "1"}
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `stop`)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmark.side", job.json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            cwd="/",  # Python looks for modules in the current folder first
            text=True,
            start_new_session=True,  # Ctrl-C is for the parent, which stops its sides
        )
        self.idle_cpu_s = 0.0
        try:
            answer = self._answer()
        except BaseException:
            self.stop()
            raise
        self.about = str(answer["about"])
        self.kernels = str(answer.get("kernels", ""))  # another commit's side does not say
        self.loading: dict[str, float] = answer["figures"]

    def measure(self, name: str, seed: int) -> dict[str, float]:
        """Figures by their keys. The side must not have failed before."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"measure": name, "seed": seed}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: `_answer` finds out
        answer = self._answer()
        self.idle_cpu_s += answer["idle_cpu_s"]
        figures: dict[str, float] = answer["figures"]
        return figures

    def stop(self) -> None:
        """Kills the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(BrokenPipeError):  # a request that it has not read
                    stream.close()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            status = self._process.wait()
            end = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
            raise SideFailed(f"it ended ({end}): {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideFailed(answer["error"])
        return answer

    def _last_words(self) -> str:
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - _LAST_WORDS))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"
