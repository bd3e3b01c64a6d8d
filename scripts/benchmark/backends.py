"""The engines that are measured, behind one small interface at token level, each used in its fastest way.

All of them keep keys and values in 16 bits unless told otherwise, sample with their own samplers, and run on the CPUs
that the process may use.
"""

from __future__ import annotations

import importlib.metadata
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from chatglm_server import __version__
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.model_file import with_cache_type
from chatglm_server.model_files.spec import CacheType

from .draft_texts import Conversation
from .recorded import RecordedAnswers

TEMPERATURE, TOP_K, TOP_P = 0.8, 50, 0.9
"""How a backend samples that is not greedy."""
_LLAMA_CPP_KERNELS = {"AVX512": "avx512", "AVX_VNNI": "avxvnni", "AVX2": "avx2", "DOTPROD": "neon"}
"""What llama.cpp says that it was compiled for, the fastest first, by the names of this project's kernels."""


class Backend(Protocol):
    """A number of sequences, each with its own cache."""

    sequences: int
    """How many `step` computes in one pass."""
    about: str
    """Version and build, one line."""
    kernels: str
    """The instructions that it computes with, by the names of this project's kernels; "" if it does not say."""
    greedy: bool
    """True to take the likeliest token next, False to sample it; callers set it."""

    def length(self, sequence: int) -> int:
        """Tokens of a sequence."""

    def read(self, sequence: int, ids: Sequence[int], keep: int = 0) -> int:
        """Truncate a sequence to its first `keep` tokens and read `ids` after them; returns the next token."""

    def step(self, tokens: Sequence[int]) -> list[int]:
        """Append a token to each of the first sequences, in one pass; returns the next tokens."""

    def answer_seconds(self, one: Conversation, *, drafts: bool) -> float:
        """How long the answer takes in sequence 0, as if the model chose its tokens, from the first one to the last."""


class Native:
    """The compute core of this project, through its binding, as `NativeModel` uses it."""

    def __init__(
        self, path: Path, context: int, sequences: int, threads: int, kernels: str, cache_type: CacheType
    ) -> None:
        import chatglm_native

        from chatglm_server.decoding.backends.native import chunk_of

        self._native = chatglm_native
        self._pool = chatglm_native.ThreadPool(threads)
        spec = with_cache_type(read_model_file(path), cache_type).spec
        self._chunk = chunk_of(spec)
        self._model = chatglm_native.Model(self._pool, spec, context=context, slots=sequences, cpu=kernels)
        self.greedy = True
        options: dict[bool, dict[str, Any]] = {
            True: {"temperature": 0},
            False: {"temperature": TEMPERATURE, "top_k": TOP_K, "top_p": TOP_P},
        }
        self._samplers = {
            greedy: [chatglm_native.Sampler([], seed=seed, **chosen) for seed in range(sequences)]
            for greedy, chosen in options.items()
        }
        self.sequences = sequences
        self._lengths = [0] * sequences
        self._vocab_size, self._context = spec.vocab_size, context
        self._recorded: RecordedAnswers | None = None
        self.kernels = str(self._model.kernels)
        self.about = (
            f"{__version__}, {self.kernels} kernels, prompts in passes of {self._chunk} tokens, cache {cache_type}"
        )

    def length(self, sequence: int) -> int:
        return self._lengths[sequence]

    def read(self, sequence: int, ids: Sequence[int], keep: int = 0) -> int:
        rows = [(sequence, keep + place, token) for place, token in enumerate(ids)]
        for begin in range(0, len(rows), self._chunk):
            part = rows[begin : begin + self._chunk]
            wanted = [len(part) - 1] if begin + self._chunk >= len(rows) else []
            logits = self._model.forward(part, wanted)
        self._lengths[sequence] = keep + len(rows)
        return self._sample(logits, [sequence])[0]

    def step(self, tokens: Sequence[int]) -> list[int]:
        rows = [(sequence, self._lengths[sequence], token) for sequence, token in enumerate(tokens)]
        logits = self._model.forward(rows, list(range(len(rows))))
        for sequence in range(len(rows)):
            self._lengths[sequence] += 1
        return self._sample(logits, range(len(rows)))

    def answer_seconds(self, one: Conversation, *, drafts: bool) -> float:
        if self._recorded is None:
            self._recorded = RecordedAnswers(self._model, self._pool, self._vocab_size, self._chunk, self._context)
        return self._recorded.seconds(one, drafts=drafts)

    def _sample(self, logits: Any, sequences: Sequence[int]) -> list[int]:
        samplers = self._samplers[self.greedy]
        requests = [(samplers[sequence], row, (), ()) for row, sequence in enumerate(sequences)]
        return [rows[0][0] for rows in self._native.sample(self._pool, logits, requests)]


class LlamaCpp:
    """llama.cpp through the C functions that llama-cpp-python exposes, with llama.cpp's defaults but for the threads.

    The defaults are: batches of 2,048 tokens in passes of 512, flash attention where it is supported, weights of some
    types repacked for the processor when loaded. Without `repack`, as by ``--no-repack``, those of Q4_K and Q2_K stay
    as they are in the file, and prompts take llama.cpp's tiled kernels, which are newer and faster. llama-cpp-python's
    own (slower) Python layer is not used.
    """

    def __init__(self, path: Path, context: int, sequences: int, threads: int, repack: bool) -> None:
        import llama_cpp

        self._c: Any = llama_cpp
        model_options = self._c.llama_model_default_params()
        model_options.n_gpu_layers = 0
        model_options.use_extra_bufts = repack
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
        self.greedy = True
        chain = self._c.llama_sampler_chain_init(self._c.llama_sampler_chain_default_params())
        for part in (
            self._c.llama_sampler_init_top_k(TOP_K),
            self._c.llama_sampler_init_top_p(TOP_P, 1),
            self._c.llama_sampler_init_temp(TEMPERATURE),
            self._c.llama_sampler_init_dist(0),
        ):
            self._c.llama_sampler_chain_add(chain, part)
        self._samplers = {True: self._c.llama_sampler_init_greedy(), False: chain}
        self.sequences = sequences
        self._lengths = [0] * sequences
        flags = self._c.llama_print_system_info().decode()
        has = set(re.findall(r"(\w+) = 1", flags))
        self.kernels = next((name for flag, name in _LLAMA_CPP_KERNELS.items() if flag in has), "generic")
        version = importlib.metadata.version("llama-cpp-python")
        self.about = (
            f"llama-cpp-python {version}, batch {self._most}, pass {self._c.llama_n_ubatch(self._context)}, "
            f"flash attention auto, {'repacked weights' if repack else 'no repacking'}; {' '.join(flags.split())}"
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

    def answer_seconds(self, one: Conversation, *, drafts: bool) -> float:
        """The drafts are those of llama-cpp-python's LlamaPromptLookupDecoding, with its defaults."""
        from llama_cpp.llama_speculative import LlamaPromptLookupDecoding

        lookup: Any = LlamaPromptLookupDecoding()
        self.read(0, one.prompt)
        text, known = [*one.prompt, *one.answer], len(one.prompt) + 1
        started = time.perf_counter()
        while known < len(text):
            draft = [int(token) for token in lookup(np.array(text[:known], np.intc))] if drafts else []
            tokens = [text[known - 1], *draft[: len(text) - known - 1]]
            rows = [(0, known - 1 + place, token) for place, token in enumerate(tokens)]
            self._decode(rows, [True] * len(rows))
            right = 0
            self._sample(0)
            while right + 1 < len(tokens) and tokens[right + 1] == text[known + right]:
                right += 1
                self._sample(right)
            known += right + 1
            self._c.llama_memory_seq_rm(self._memory, 0, known - 1, -1)
        return time.perf_counter() - started

    def _decode(self, rows: Sequence[tuple[int, int, int]], wanted: Sequence[bool]) -> None:
        batch = self._batch
        batch.n_tokens = len(rows)
        for place, (sequence, position, token) in enumerate(rows):
            batch.token[place], batch.pos[place], batch.logits[place] = token, position, wanted[place]
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, sequence
        if status := self._c.llama_decode(self._context, batch):
            raise RuntimeError(f"llama_decode returned {status}")

    def _sample(self, row: int) -> int:
        return int(self._c.llama_sampler_sample(self._samplers[self.greedy], self._context, row))


class ChatGLMCpp:
    """chatglm_cpp: one sequence; a prompt in one pass, but after a cached prefix only a token a pass.

    It has one cache, so `step` takes one sequence.
    """

    def __init__(self, path: Path, context: int) -> None:
        import chatglm_cpp._C as binding

        self._model = binding.Pipeline(str(path), context).model
        self.greedy = True
        sampling = binding.GenerationConfig(do_sample=True, temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P)
        self._configs = {True: binding.GenerationConfig(do_sample=False), False: sampling}
        self.sequences = 1
        self._ids: list[int] = []
        self.kernels = ""
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

    def answer_seconds(self, one: Conversation, *, drafts: bool) -> float:
        raise NotImplementedError

    def _forward(self, past: int) -> int:
        return int(self._model.generate_next_token(self._ids, None, self._configs[self.greedy], past, len(self._ids)))
