"""The model backend of this project: the compute core in ``chatglm_server/native``, at token level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import chatglm_native

from ...errors import ModelFailure, ModelFileError, ShuttingDown
from ...model_files.model_file import ModelFile
from ...model_files.spec import ModelSpec
from ..model import Logits, ScheduledSequence
from ..model_runner import ModelRunner
from ..snapshots.blocks import BLOCK
from ..snapshots.options import open_snapshots
from . import KEPT_PREFIXES, BackendOptions
from .cpus import usable_cpus
from .loading import loading_progress
from .thread_count import ThreadCount

_CHUNK, _EXPERT_CHUNK = 128, 256


class NativeModel:
    """The compute core with a model. Python's GIL is released while it computes."""

    reuses_prefixes = True

    def __init__(
        self,
        spec: ModelSpec,
        context_length: int,
        *,
        slots: int = 1,
        threads: int | None = None,
        threads_on_battery: int | None = None,
        cpu: str = "auto",
        progress: Callable[[int], bool] | None = None,
    ) -> None:
        """Reads the weights. Each slot holds up to `context_length` tokens; slots that are not used take no memory.

        `threads` of None: as many as the CPUs that this process may use. `threads_on_battery` of None: as many as
        `threads`. `progress` gets the bytes read so far, at most 20 times a second; if it returns False, loading stops.

        Raises: ModelFileError; ShuttingDown if `progress` stops it.
        """
        check_processor(threads, cpu)
        check_threads(threads_on_battery, "--threads-on-battery")
        self._threads = ThreadCount(threads or usable_cpus(), threads_on_battery)
        self.pool = chatglm_native.ThreadPool(self._threads.now())
        try:
            self._model = chatglm_native.Model(
                self.pool, spec, context=context_length, slots=slots, cpu=cpu, progress=progress
            )
        except chatglm_native.LoadingStopped:
            raise ShuttingDown("stopped while loading the model") from None
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelFileError(f"{spec.path}: {error}") from None
        self.chunk = chunk_of(spec)
        self.vocab_size = spec.vocab_size
        self.slots = slots
        self.kernels = self._model.kernels

    def forward(self, batch: Sequence[ScheduledSequence]) -> Logits:
        rows: list[tuple[int, int, int]] = []
        wanted: list[int] = []
        for scheduled in batch:
            positions = enumerate(scheduled.tokens, scheduled.position)
            rows += ((scheduled.slot, position, token) for position, token in positions)
            wanted += range(len(rows) - scheduled.wanted, len(rows))
        threads = self._threads.now()
        try:
            if threads != self.pool.threads:
                self.pool.resize(threads)
            return self._model.forward(rows, wanted)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelFailure(f"the native core failed: {error}") from None

    def copy(self, source: int, target: int, count: int) -> None:
        try:
            self._model.copy(source, target, count)
        except MemoryError:
            raise ModelFailure("the native core has no memory for a copy of a prefix") from None

    def truncate(self, slot: int, kept: int) -> None:
        self._model.truncate(slot, kept)

    def cache_bytes(self, count: int) -> int:
        return self._model.cache_bytes(count)

    def read_cache(self, slot: int, start: int, count: int) -> bytes:
        try:
            return self._model.read_cache(slot, start, count)
        except MemoryError:
            raise ModelFailure("the native core has no memory for a copy of a prefix") from None

    def write_cache(self, slot: int, start: int, count: int, data: bytes) -> None:
        try:
            self._model.write_cache(slot, start, count, data)
        except MemoryError:
            raise ModelFailure("the native core has no memory for a prefix from disk") from None


class NativeBackend:
    """Runs the models that the core knows."""

    gives_logits = True
    most_parallel = None

    def obstacle(self, file: ModelFile) -> str:
        return native_obstacle(file.spec)

    def check(self, options: BackendOptions) -> None:
        check_processor(options.threads, options.cpu)
        check_threads(options.threads_on_battery, "--threads-on-battery")

    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ModelRunner:
        with loading_progress(file.spec.nbytes) as loaded:

            def progress(count: int) -> bool:
                loaded(count)
                return not stopping()

            model = NativeModel(
                file.spec,
                options.context_length,
                slots=max(options.parallel, KEPT_PREFIXES),
                threads=options.threads,
                threads_on_battery=options.threads_on_battery,
                cpu=options.cpu,
                progress=progress,
            )
        kept = options.snapshots is not None and options.context_length >= BLOCK
        snapshots = open_snapshots(options.snapshots, file.spec, model) if options.snapshots and kept else None
        return ModelRunner(model, model.pool, snapshots)


def chunk_of(spec: ModelSpec) -> int:
    """Tokens of prompts that one pass reads; between passes a request can be cancelled, and others go on.

    More with experts, for each reads its weights for its own share of the tokens only.
    """
    return _CHUNK if spec.experts is None else _EXPERT_CHUNK


def check_processor(threads: int | None, cpu: str) -> None:
    """Raises: ModelFileError if this machine has fewer CPUs for us, or other instructions."""
    check_threads(threads, "--threads")
    kernels = chatglm_native.kernels()
    if cpu not in ("auto", *kernels):
        raise ModelFileError(f"--cpu {cpu}: this processor can run {', '.join(kernels)}")


def check_threads(threads: int | None, option: str) -> None:
    """Raises: ModelFileError if this machine has fewer CPUs for us; it names the `option`."""
    cpus = usable_cpus()
    if threads is not None and threads > cpus:
        raise ModelFileError(f"{option} {threads}: this process may use {cpus} CPUs")


def native_obstacle(spec: ModelSpec) -> str:
    """Why the core cannot run a model; "" if it can."""
    try:
        chatglm_native.check(spec)
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""
