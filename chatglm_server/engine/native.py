"""The model backend of this project: the compute core in ``chatglm_server/native``, at token level."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import chatglm_native

from ..chat import SamplingParams
from ..errors import ModelFileError
from .cpus import usable_cpus
from .model_file import ModelFile

CHUNK = 128
"""Tokens of a prompt that are read in one pass; between passes a request can be cancelled."""


class NativeModel:
    """One sequence on the compute core. Python's GIL is released while it computes."""

    def __init__(self, file: ModelFile, context_length: int, *, threads: int | None, cpu: str = "auto") -> None:
        """Raises: ModelFileError. `threads` of None: as many as the CPUs that this process may use."""
        cpus = usable_cpus()
        if threads is not None and threads > cpus:
            raise ModelFileError(f"--threads {threads}: this process may use {cpus} CPUs")
        try:
            self._model = core(file, context_length, sequences=1, threads=threads or cpus, cpu=cpu)
        except (RuntimeError, ValueError, MemoryError) as error:
            raise ModelFileError(f"{file.path}: {error}") from None
        self.vocab_size = file.header.vocab_size
        self._ids: list[int] = []
        self._past = 0  # tokens of the sequence whose keys and values are in the cache
        self._prompt_length = 0
        self._sampler: tuple[SamplingParams, chatglm_native.Sampler] | None = None

    def start(self, prompt: Sequence[int]) -> int:
        cached, limit = 0, min(self._past, len(prompt) - 1)
        while cached < limit and self._ids[cached] == prompt[cached]:
            cached += 1
        self._ids, self._past, self._prompt_length = list(prompt), cached, len(prompt)
        self._sampler = None
        return cached

    def prefill(self) -> bool:
        end = min(self._past + CHUNK, len(self._ids) - 1)
        if end > self._past:
            self._model.forward([(0, place, self._ids[place]) for place in range(self._past, end)], [])
            self._past = end
        return self._past == len(self._ids) - 1

    def step(self, sampling: SamplingParams) -> int:
        return self._draw(sampling, ())

    def choose(self, allowed: Sequence[int]) -> int:
        return self._draw(SamplingParams(temperature=0), allowed)

    def append(self, tokens: Sequence[int]) -> None:
        self._ids += tokens

    def _draw(self, sampling: SamplingParams, allowed: Sequence[int]) -> int:
        place = len(self._ids) - 1
        logits = self._model.forward([(0, place, self._ids[place])], [0])
        self._past = len(self._ids)
        if self._sampler is None or self._sampler[0] != sampling:
            self._sampler = sampling, self._new_sampler(sampling)
        token, _, _ = self._sampler[1].sample(logits, 0, list(allowed))
        self._ids.append(token)
        return token

    def _new_sampler(self, sampling: SamplingParams) -> chatglm_native.Sampler:
        sampler = chatglm_native.Sampler(
            self._ids[: self._prompt_length],
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            min_p=0.0,
            repetition_penalty=sampling.repetition_penalty,
            presence_penalty=0.0,
            frequency_penalty=0.0,
            bias=[],
            seed=secrets.randbits(64),
            top_logprobs=-1,
        )
        for token in self._ids[self._prompt_length :]:
            sampler.note(token)
        return sampler


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
