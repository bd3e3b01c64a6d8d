"""The logits of GGUF models against llama.cpp, which reads the same files by itself."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt
import pytest

from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.weight_types import WEIGHT_TYPES
from tests.decoding.test_gguf_network import SHAPES, least_cosine, logits
from tests.random_gguf import Kind, Shape, write_random_gguf
from tests.reference import Reference

TOKENS = 600
LEAST = {Kind.F32: 0.9999, Kind.Q2_K: 0.995, Kind.Q3_K: 0.995}
"""Cosines; 0.999 for other types. llama.cpp quantizes activations, too, but for K types by 256, and not by 32."""
KINDS = [Kind(number) for number in WEIGHT_TYPES]
WIDE = {name: replace(SHAPES[name], hidden=512, head_size=64, ffn=1024) for name in ("chatglm3", "glm-4-0414")}
CASES = [(name, WIDE[name], [kind]) for name, kind in zip(cycle(WIDE), KINDS, strict=False)]
CASES += [(name, shape, [Kind.F32]) for name, shape in SHAPES.items() if name not in WIDE]
CASES += [(name, shape, KINDS) for name, shape in WIDE.items()]


def llama_logits(path: Path, ids: list[int]) -> npt.NDArray[np.float64]:
    """(tokens, vocab), with keys and values in float32, of one pass over all tokens."""
    llama_cpp.llama_log_set(_SILENT, ctypes.c_void_p(0))
    options = llama_cpp.llama_model_default_params()
    options.n_gpu_layers = 0
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), options)
    assert model, path
    options = llama_cpp.llama_context_default_params()
    options.n_ctx = options.n_batch = options.n_ubatch = len(ids)
    options.type_k = options.type_v = 0
    options.flash_attn_type = 0
    options.n_threads = options.n_threads_batch = 2
    context = llama_cpp.llama_init_from_model(model, options)
    vocab = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
    try:
        batch.n_tokens = len(ids)
        for place, token in enumerate(ids):
            batch.token[place], batch.pos[place], batch.n_seq_id[place], batch.logits[place] = token, place, 1, 1
            batch.seq_id[place][0] = 0
        assert llama_cpp.llama_decode(context, batch) == 0
        rows = [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, i), (vocab,)) for i in range(len(ids))]
        return np.array(rows, np.float64)
    finally:
        llama_cpp.llama_batch_free(batch)
        llama_cpp.llama_free(context)
        llama_cpp.llama_model_free(model)


_SILENT = llama_cpp.llama_log_callback(lambda level, text, data: None)


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [case[1:] for case in CASES],
    ids=[f"{name} {kinds[0].name if len(kinds) == 1 else 'mixed'}" for name, _, kinds in CASES],
)
def test_logits_are_those_of_llama_cpp(tmp_path: Path, shape: Shape, kinds: list[Kind]) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", shape, kinds, vocabulary="none")
    spec = read_model_file(path).spec
    ids = [int(token) for token in np.random.default_rng(1).integers(0, spec.vocab_size, TOKENS)]
    expected, got = llama_logits(path, ids), logits(spec, ids)
    assert least_cosine(got, expected) >= min(LEAST.get(kind, 0.999) for kind in kinds)
    noise = np.sqrt(((expected - Reference(spec).logits(ids)) ** 2).mean())  # what quantized activations change
    best = np.sort(expected, axis=1)
    clear = best[:, -1] - best[:, -2] > 3 * noise  # 1.8 deviations of a difference of two differences
    assert clear.mean() > 0.5
    assert (got.argmax(axis=1) == expected.argmax(axis=1))[clear].mean() >= 0.99
