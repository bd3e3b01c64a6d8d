"""The engines that are measured, behind one small interface at token level, each used in its fastest way.

All of them keep float16 keys and values, sample the likeliest token with their own greedy sampler, and run on the CPUs
that the process may use.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from chatglm_server import __version__
from chatglm_server.model_files.chatglm_bin import read_model_file
from chatglm_server.model_files.chatglm_bin_spec import model_spec


class Backend(Protocol):
    """A number of sequences, each with its own cache."""

    sequences: int
    """How many `step` computes in one pass."""
    about: str
    """Version and build, one line."""

    def length(self, sequence: int) -> int:
        """Tokens of a sequence."""

    def read(self, sequence: int, ids: Sequence[int], keep: int = 0) -> int:
        """Truncate a sequence to its first `keep` tokens and read `ids` after them; returns the next token."""

    def step(self, tokens: Sequence[int]) -> list[int]:
        """Append a token to each of the first sequences, in one pass; returns the next tokens."""


class Native:
    """The compute core of this project, through its binding, as `NativeModel` uses it."""

    def __init__(self, path: Path, context: int, sequences: int, threads: int, kernels: str) -> None:
        import chatglm_native

        from chatglm_server.decoding.backends.native import CHUNK

        self._chunk = CHUNK
        pool, spec = chatglm_native.ThreadPool(threads), model_spec(read_model_file(path))
        self._model = chatglm_native.Model(pool, spec, context=context, slots=sequences, cpu=kernels)
        self._sampler = chatglm_native.Sampler(
            [],
            temperature=0,
            top_k=0,
            top_p=1,
            min_p=0,
            repetition_penalty=1,
            presence_penalty=0,
            frequency_penalty=0,
            bias=[],
            seed=0,
            top_logprobs=-1,
        )
        self.sequences = sequences
        self._lengths = [0] * sequences
        self.about = f"{__version__}, {self._model.kernels} kernels, prompts in passes of {CHUNK} tokens"

    def length(self, sequence: int) -> int:
        return self._lengths[sequence]

    def read(self, sequence: int, ids: Sequence[int], keep: int = 0) -> int:
        rows = [(sequence, keep + place, token) for place, token in enumerate(ids)]
        for begin in range(0, len(rows), self._chunk):
            part = rows[begin : begin + self._chunk]
            wanted = [len(part) - 1] if begin + self._chunk >= len(rows) else []
            logits = self._model.forward(part, wanted)
        self._lengths[sequence] = keep + len(rows)
        return self._sampler.sample(logits, 0)[0]

    def step(self, tokens: Sequence[int]) -> list[int]:
        rows = [(sequence, self._lengths[sequence], token) for sequence, token in enumerate(tokens)]
        logits = self._model.forward(rows, list(range(len(rows))))
        for sequence in range(len(rows)):
            self._lengths[sequence] += 1
        return [self._sampler.sample(logits, row)[0] for row in range(len(rows))]


class LlamaCpp:
    """llama.cpp through the C functions that llama-cpp-python exposes, with llama.cpp's defaults but for the threads.

    The defaults are: batches of 2,048 tokens in passes of 512, flash attention where it is supported, weights repacked
    for the processor when loaded. llama-cpp-python's own (slower) Python layer is not used.
    """

    def __init__(self, path: Path, context: int, sequences: int, threads: int) -> None:
        import llama_cpp

        self._c: Any = llama_cpp
        model_options = self._c.llama_model_default_params()
        model_options.n_gpu_layers = 0
        self._c.llama_backend_init()
        model = self._c.llama_model_load_from_file(str(path).encode(), model_options)
        if not model:
            raise RuntimeError(f"llama.cpp cannot load {path.name}")
        options = self._c.llama_context_default_params()
        options.n_ctx = context * sequences
        options.n_seq_max = sequences
        options.n_threads = options.n_threads_batch = threads
        self._context = self._c.llama_init_from_model(model, options)
        if not self._context:
            raise RuntimeError(f"llama.cpp has no context of {context} tokens for {sequences} sequences")
        self._memory = self._c.llama_get_memory(self._context)
        self._most = int(self._c.llama_n_batch(self._context))
        self._batch = self._c.llama_batch_init(self._most, 0, 1)
        self._sampler = self._c.llama_sampler_init_greedy()
        self.sequences = sequences
        self._lengths = [0] * sequences
        flags = self._c.llama_print_system_info().decode()
        version = importlib.metadata.version("llama-cpp-python")
        self.about = (
            f"llama-cpp-python {version}, batch {self._most}, pass {self._c.llama_n_ubatch(self._context)}, "
            f"flash attention auto; {' '.join(flags.split())}"
        )

    def length(self, sequence: int) -> int:
        return self._lengths[sequence]

    def read(self, sequence: int, ids: Sequence[int], keep: int = 0) -> int:
        self._c.llama_memory_seq_rm(self._memory, sequence, keep, -1)
        rows = [(sequence, keep + place, token) for place, token in enumerate(ids)]
        for begin in range(0, len(rows), self._most):
            part = rows[begin : begin + self._most]
            self._decode(part, [begin + place == len(rows) - 1 for place in range(len(part))])
        self._lengths[sequence] = keep + len(rows)
        return self._sample(len(part) - 1)

    def step(self, tokens: Sequence[int]) -> list[int]:
        rows = [(sequence, self._lengths[sequence], token) for sequence, token in enumerate(tokens)]
        self._decode(rows, [True] * len(rows))
        for sequence in range(len(rows)):
            self._lengths[sequence] += 1
        return [self._sample(row) for row in range(len(rows))]

    def _decode(self, rows: Sequence[tuple[int, int, int]], wanted: Sequence[bool]) -> None:
        batch = self._batch
        batch.n_tokens = len(rows)
        for place, (sequence, position, token) in enumerate(rows):
            batch.token[place], batch.pos[place], batch.logits[place] = token, position, wanted[place]
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
        if status := self._c.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode returned {status}")

    def _sample(self, row: int) -> int:
        return int(self._c.llama_sampler_sample(self._sampler, self._context, row))


class ChatGLMCpp:
    """chatglm_cpp: one sequence; a prompt in one pass, but after a cached prefix only a token a pass.

    It has one cache, so `step` takes one sequence.
    """

    def __init__(self, path: Path, context: int) -> None:
        import chatglm_cpp._C as binding

        self._model = binding.Pipeline(str(path), context).model
        self._greedy = binding.GenerationConfig(do_sample=False)
        self.sequences = 1
        self._ids: list[int] = []
        self.about = f"chatglm-cpp {importlib.metadata.version('chatglm-cpp')}"

    def length(self, sequence: int) -> int:
        return len(self._ids)

    def read(self, sequence: int, ids: Sequence[int], keep: int = 0) -> int:
        if not keep:
            self._ids = list(ids)
            return self._forward(0)
        del self._ids[keep:]
        for token in ids:
            self._ids.append(token)
            following = self._forward(len(self._ids) - 1)
        return following

    def step(self, tokens: Sequence[int]) -> list[int]:
        self._ids += tokens
        return [self._forward(len(self._ids) - 1)]

    def _forward(self, past: int) -> int:
        return int(self._model.generate_next_token(self._ids, None, self._greedy, past, len(self._ids)))
