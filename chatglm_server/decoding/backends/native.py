"""The model backend of this project: the compute core in ``chatglm_server/native``, at token level."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import chatglm_native

from ...errors import ModelFailure, ModelFileError
from ...model_files.chatglm_bin import ModelFile
from ..model import Logits, ScheduledSequence
from ..runner import ModelRunner
from . import KEPT_PREFIXES, BackendOptions
from .cpus import usable_cpus
from .page_cache import read_through

CHUNK = 128
"""Tokens of prompts that are read in one pass; between passes a request can be cancelled, and others go on."""


class NativeModel:
    """The compute core with some sequences. Python's GIL is released while it computes."""

    chunk = CHUNK
    reuses_prefixes = True

    def __init__(
        self, file: ModelFile, context_length: int, *, slots: int = 1, threads: int | None = None, cpu: str = "auto"
    ) -> None:
        """Raises: ModelFileError. `threads` of None: as many as the CPUs that this process may use."""
        check_processor(threads, cpu)
        try:
            self._model = core(file, context_length, sequences=slots, threads=threads or usable_cpus(), cpu=cpu)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelFileError(f"{file.path}: {error}") from None
        self.vocab_size = file.header.vocab_size
        self.slots = slots

    def forward(self, batch: Sequence[ScheduledSequence]) -> Logits:
        rows: list[tuple[int, int, int]] = []
        wanted: list[int] = []
        for scheduled in batch:
            positions = enumerate(scheduled.tokens, scheduled.position)
            rows += ((scheduled.slot, position, token) for position, token in positions)
            wanted += range(len(rows) - scheduled.wanted, len(rows))
        try:
            return self._model.forward(rows, wanted)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelFailure(f"the native core failed: {error}") from None

    def copy(self, source: int, target: int, count: int) -> None:
        self._model.copy(source, target, count)

    def truncate(self, slot: int, kept: int) -> None:
        self._model.forget(slot, kept)


class NativeBackend:
    """Runs what `obstacle` does not name, and samples in the core."""

    gives_logits = True
    most_parallel = None

    def obstacle(self, file: ModelFile) -> str:
        return native_obstacle(file)

    def check(self, options: BackendOptions) -> None:
        check_processor(options.threads, options.cpu)

    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ModelRunner:
        read_through(file, stopping)
        threads = options.threads or usable_cpus()
        slots = max(options.parallel, KEPT_PREFIXES)
        model = NativeModel(file, options.context_length, slots=slots, threads=threads, cpu=options.cpu)
        return ModelRunner(model, chatglm_native.ThreadPool(threads))


def check_processor(threads: int | None, cpu: str) -> None:
    """Raises: ModelFileError if this machine has fewer CPUs for us, or other instructions."""
    cpus, kernels = usable_cpus(), chatglm_native.kernels()
    if threads is not None and threads > cpus:
        raise ModelFileError(f"--threads {threads}: this process may use {cpus} CPUs")
    if cpu not in ("auto", *kernels):
        raise ModelFileError(f"--cpu {cpu}: this processor can run {', '.join(kernels)}")


def core(file: ModelFile, context_length: int, *, sequences: int, threads: int, cpu: str) -> chatglm_native.Model:
    """The file's weights in the compute core, with `sequences` caches of `context_length` tokens each.

    Raises: RuntimeError, ValueError, MemoryError.
    """
    head = file.header
    return chatglm_native.Model(
        str(file.path),
        [
            (tensor.name, int(tensor.type), *_rows_and_columns(tensor.shape), tensor.offset, tensor.nbytes)
            for tensor in file.tensors
        ],
        vocab=head.vocab_size,
        hidden=head.hidden_size,
        heads=head.num_attention_heads,
        kv_heads=head.num_key_value_heads,
        layers=head.num_hidden_layers,
        ffn=head.intermediate_size,
        context=context_length,
        epsilon=head.norm_eps,
        theta=head.rope_theta,
        sequences=sequences,
        threads=threads,
        cpu=cpu,
    )


def native_obstacle(file: ModelFile) -> str:
    """What keeps the core from running a file; "" if nothing does."""
    head = file.header
    size = head.hidden_size // head.num_attention_heads
    if file.family == "chatglm":
        return "ChatGLM-6B"
    if head.num_virtual_tokens:
        return "P-tuned models"
    if any(tensor.name.endswith("mlp.gate_proj.weight") for tensor in file.tensors):
        return "files whose first feed-forward matrix is stored in two parts"
    if size % 16 or head.hidden_size % 32 or head.intermediate_size % 32:
        return f"heads of {size}, a width of {head.hidden_size} or a feed-forward width of {head.intermediate_size}"
    return ""


def _rows_and_columns(shape: tuple[int, ...]) -> tuple[int, int]:
    """A vector is a matrix of one row."""
    return (1, shape[0]) if len(shape) == 1 else (shape[0], shape[1])
