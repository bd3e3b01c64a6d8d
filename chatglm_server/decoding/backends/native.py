"""The model backend of this project: the compute core in ``chatglm_server/native``, at token level."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import chatglm_native

from ...errors import ModelFailure, ModelFileError, ShuttingDown
from ...model_files.spec import ModelSpec
from ...sampling import SamplingParams
from ..model import Drawn, Part
from .cpus import usable_cpus

CHUNK = 128
"""Tokens of prompts that one pass reads; between passes a request can be cancelled, and others go on."""


class NativeModel:
    """The compute core with a model. Python's GIL is released while it computes."""

    chunk = CHUNK
    reuses_prefixes = True

    def __init__(
        self,
        spec: ModelSpec,
        context_length: int,
        *,
        slots: int = 1,
        threads: int | None = None,
        cpu: str = "auto",
        progress: Callable[[int], bool] | None = None,
    ) -> None:
        """Reads the weights. Each slot holds up to `context_length` tokens; slots that are not used take no memory.

        `threads` of None: as many as the CPUs that this process may use. `progress` gets the bytes read so far, at most
        20 times a second; if it returns False, loading stops.

        Raises: ModelFileError; ShuttingDown if `progress` stops it.
        """
        check_processor(threads, cpu)
        self.pool = chatglm_native.ThreadPool(threads or usable_cpus())
        try:
            self._model = chatglm_native.Model(
                self.pool, spec, context=context_length, slots=slots, cpu=cpu, progress=progress
            )
        except chatglm_native.LoadingStopped:
            raise ShuttingDown("stopped while loading the model") from None
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelFileError(f"{spec.path}: {error}") from None
        self.vocab_size = spec.vocab_size
        self.slots = slots

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams) -> chatglm_native.Sampler:
        return chatglm_native.Sampler(
            prompt,
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=sampling.min_p,
            repetition_penalty=sampling.repetition_penalty,
            presence_penalty=sampling.presence_penalty,
            frequency_penalty=sampling.frequency_penalty,
            bias=sampling.logit_bias,
            seed=secrets.randbits(64) if sampling.seed is None else sampling.seed % 2**64,
            top_logprobs=-1 if sampling.top_logprobs is None else sampling.top_logprobs,
        )

    def read(self, parts: Sequence[Part]) -> list[Drawn | None]:
        rows: list[tuple[int, int, int]] = []
        wanted: list[int] = []
        for part in parts:
            rows += ((part.slot, part.position + place, token) for place, token in enumerate(part.tokens))
            if part.draw:
                wanted.append(len(rows) - 1)
        try:
            logits = self._model.forward(rows, wanted)
        except (RuntimeError, MemoryError) as error:
            raise ModelFailure(f"the native core failed: {error}") from None
        drawn: list[Drawn | None] = []
        row = 0
        for part in parts:
            if part.draw:
                drawn.append(Drawn(*part.sampler.sample(logits, row, part.allowed)))
                row += 1
            else:
                drawn.append(None)
        return drawn

    def copy(self, source: int, target: int, count: int) -> None:
        try:
            self._model.copy(source, target, count)
        except MemoryError:
            raise ModelFailure("the native core has no memory for a copy of a prefix") from None

    def truncate(self, slot: int, kept: int) -> None:
        self._model.truncate(slot, kept)

    forget = truncate


def check_processor(threads: int | None, cpu: str) -> None:
    """Raises: ModelFileError if this machine has fewer CPUs for us, or other instructions."""
    cpus, kernels = usable_cpus(), chatglm_native.kernels()
    if threads is not None and threads > cpus:
        raise ModelFileError(f"--threads {threads}: this process may use {cpus} CPUs")
    if cpu not in ("auto", *kernels):
        raise ModelFileError(f"--cpu {cpu}: this processor can run {', '.join(kernels)}")


def native_obstacle(spec: ModelSpec) -> str:
    """Why the core cannot run a model; "" if it can."""
    try:
        chatglm_native.check(spec)
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""
