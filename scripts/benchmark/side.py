"""One side of the comparison in a process of its own.

``python -m benchmark.side JOB``, JOB a `Job` as JSON. It loads the model, then answers each line
``{"measure", "seed"}`` on stdin with a line of JSON on stdout, and sleeps in between. It ends with its input. Another
commit's side has to understand this: see ``--core`` of ``scripts/bench.py``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import CacheType

from . import memory
from .backends import Backend, ChatGLMCpp, LlamaCpp, Native
from .measures import MEASURES, Lengths, ids_of, warm_up

NATIVE_SIDES = ("native-avx512", "native-avxvnni", "native-avx2", "native-neon", "native-generic")
LLAMA_CPP_SIDES = ("llama.cpp", "llama.cpp-best")
"""With its defaults, and without repacking."""
SIDES = (*NATIVE_SIDES, "chatglm-cpp", *LLAMA_CPP_SIDES, "memory")


@dataclass(frozen=True)
class Job:
    """What a side loads. It runs on `cpus`, one thread each; `context` is in tokens of a sequence."""

    side: str
    model: str
    gguf: str
    cpus: list[int]
    context: int
    sequences: int
    lengths: Lengths
    cache_type: CacheType = "f16"

    def json(self) -> str:
        """For the command line. What is the default is left out: another commit may not have all of it."""
        lengths = {name: value for name, value in asdict(self.lengths).items() if value != getattr(Lengths, name)}
        fields = asdict(self) | {"lengths": lengths}
        if self.cache_type == Job.cache_type:
            del fields["cache_type"]
        return json.dumps(fields)

    @staticmethod
    def from_json(text: str) -> Job:
        """The job that `json` wrote."""
        fields = json.loads(text)
        return Job(**fields | {"lengths": Lengths(**fields["lengths"])})


class ModelSide:
    """An engine with the model loaded."""

    def __init__(self, job: Job) -> None:
        self._lengths = job.lengths
        self._vocabulary = read_model_file(Path(job.model)).spec.vocab_size
        _import_engine(job.side)
        draw = ids_of(self._vocabulary, 0)
        started = time.perf_counter()
        self._model = _backend(job)
        self.loading = {"weights": time.perf_counter() - started}
        self._model.read(0, draw(1))  # engines that map the file read it here
        self.loading["load"] = time.perf_counter() - started
        warm_up(self._model, draw)
        if held := memory.resident():
            self.loading["resident"] = held / 1e9
        self.about, self.kernels = self._model.about, self._model.kernels

    def measure(self, name: str, seed: int) -> dict[str, float]:
        """Figures of one measure."""
        draw = ids_of(self._vocabulary, seed)
        warm_up(self._model, draw)
        return MEASURES[name](self._model, draw, self._lengths)


class MemorySide:
    """Two bounds. Decoding reads the weights that a token uses; loading reads the file."""

    kernels = ""

    def __init__(self, job: Job) -> None:
        spec = read_model_file(Path(job.model)).spec
        self._bytes = round(sum(spec.used_share(name) * tensor.nbytes for name, tensor in spec.tensors.items()))
        self._threads = len(job.cpus)
        files = {tensor.path for tensor in spec.tensors.values()}
        seconds = sum(memory.file_seconds(file, self._threads) for file in files)
        self.loading = {"weights": seconds, "load": seconds}
        self.about = (
            f"memchr over {self._bytes / 1e9:.2f} GB, the weights of a token, on {self._threads} threads; "
            f"from cache {memory.cache_rate() / 1e9:.0f} GB/s a thread; load: reads the file into new memory"
        )

    def measure(self, name: str, seed: int) -> dict[str, float]:
        """The bound on "decode"; `seed` is not used."""
        rate = memory.read_rate(self._bytes, self._threads)
        return {"read": rate / 1e9, "decode": rate / self._bytes}


def _import_engine(side: str) -> None:
    """Before the clock starts: importing is not loading."""
    if side in LLAMA_CPP_SIDES:
        import llama_cpp  # noqa: F401
    elif side == "chatglm-cpp":
        import chatglm_cpp._C  # noqa: F401
    else:
        import chatglm_server.decoding.backends.native  # noqa: F401


def _backend(job: Job) -> Backend:
    if job.side in LLAMA_CPP_SIDES:
        repack = job.side == "llama.cpp"
        return LlamaCpp(Path(job.gguf), job.context, job.sequences, len(job.cpus), repack)
    if job.side == "chatglm-cpp":
        return ChatGLMCpp(Path(job.model), job.context)
    kernels = job.side.removeprefix("native-")
    return Native(Path(job.model), job.context, job.sequences, len(job.cpus), kernels, job.cache_type)


def main() -> None:
    """Serves the requests on stdin."""
    answers = _own_stdout()
    job = Job.from_json(sys.argv[1])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, job.cpus)
    try:
        side = MemorySide(job) if job.side == "memory" else ModelSide(job)
        _answer(answers, {"about": side.about, "kernels": side.kernels, "figures": side.loading})
        waiting_since = time.process_time()
        for line in sys.stdin:
            idle = time.process_time() - waiting_since
            request = json.loads(line)
            _answer(answers, {"figures": side.measure(request["measure"], request["seed"]), "idle_cpu_s": idle})
            waiting_since = time.process_time()
    except Exception as error:  # the other sides go on
        _answer(answers, {"error": f"{type(error).__name__}: {error}"})


def _own_stdout() -> TextIO:
    """The pipe to the parent. From now on an engine's own prints go to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _answer(to: TextIO, message: dict[str, Any]) -> None:
    print(json.dumps(message), file=to, flush=True)


if __name__ == "__main__":
    main()
