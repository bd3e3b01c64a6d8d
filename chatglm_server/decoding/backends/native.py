"""The model backend of this project: the compute core in ``chatglm_server/native``, at token level."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import chatglm_native

from ...errors import ModelFailure, ModelFileError
from ...model_files.chatglm_bin import ModelFile
from ...sampling import SamplingParams
from ..model import Drawn, Part
from .cpus import usable_cpus

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
        self._model.copy(source, target, count)

    def forget(self, slot: int, kept: int) -> None:
        self._model.forget(slot, kept)


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
