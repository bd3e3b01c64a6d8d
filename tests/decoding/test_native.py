"""The compute core: against a plain float reference, and bit for bit against itself."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import chatglm_native
import numpy as np
import numpy.typing as npt
import pytest
from chatglm_bin_writer import DType, ModelType

from chatglm_server.chat import Message
from chatglm_server.decoding.backends.chatglm_cpp import ChatGLMCppRunner
from chatglm_server.decoding.backends.native import NativeModel
from chatglm_server.errors import ModelFileError
from chatglm_server.formats.registry import FORMATS
from chatglm_server.loader import model_path
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import ModelSpec
from chatglm_server.model_files.tokenizer import encode_prompt
from tests.native_kernels import KERNELS
from tests.random_models import write_random_model
from tests.reference import Reference
from tests.token_level import generate, one_cpu

Logits = npt.NDArray[np.float32]
CONTEXT = 150
TOKENS = CONTEXT  # to its end: more than the tokens of a block, and no multiple of any tile


def tokens_of(seed: int, count: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(3, 280, count)]


def logits(model: chatglm_native.Model, rows: Sequence[tuple[int, int, int]]) -> Logits:
    """After each row."""
    return cast(Logits, np.from_dlpack(model.forward(rows, list(range(len(rows))))))


def rows_of(slot: int, ids: Sequence[int], start: int = 0) -> list[tuple[int, int, int]]:
    return [(slot, start + place, token) for place, token in enumerate(ids)]


def spec_of(path: Path) -> ModelSpec:
    return read_model_file(path).spec


def load(path: Path, *, cpu: str = "auto", threads: int = 2, slots: int = 1) -> chatglm_native.Model:
    pool = chatglm_native.ThreadPool(threads)
    return chatglm_native.Model(pool, spec_of(path), context=CONTEXT, slots=slots, cpu=cpu)


def test_the_processor_has_kernels() -> None:
    assert chatglm_native.kernels()[-1] == "generic"


@pytest.mark.parametrize("dtype", DType, ids=lambda dtype: dtype.name)
def test_logits_are_those_of_the_reference(dtype: DType, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM3, dtype, hidden=128)
    ids = tokens_of(1, TOKENS)
    expected = Reference(spec_of(path)).logits(ids)
    for cpu in KERNELS:
        got = logits(load(path, cpu=cpu), rows_of(0, ids)).astype(np.float64)
        norms = np.linalg.norm(got, axis=1) * np.linalg.norm(expected, axis=1)
        cosines = (got * expected).sum(axis=1) / norms
        assert cosines.min() >= 0.999, cpu


@pytest.mark.parametrize("model", ["demo", "demo-glm4"])
def test_demo_models_say_what_chatglm_cpp_has_them_say(model: str) -> None:
    """Teacher-forced on its greedy answers to what the models were made for."""
    path = model_path(model)
    file = read_model_file(path)
    chat_format = FORMATS[file.chat_format]
    tokenizer = file.load_tokenizer(chat_format)
    peer = ChatGLMCppRunner(path, CONTEXT, bidirectional=False)
    equal = count = 0
    for question in ("Who are you?", "What is the weather in Paris?", "你好", "Repeat: green tea and old maps"):
        ids = encode_prompt(tokenizer, chat_format.render([Message("user", question)]))
        start = len(ids)
        with one_cpu():
            ids += generate(peer, ids, 40)
        for cpu in KERNELS:
            own = logits(load(path, cpu=cpu), rows_of(0, ids[:-1])).argmax(axis=1)
            equal += int((own[start - 1 :] == np.array(ids[start:])).sum())
            count += len(ids) - start
    assert equal / count >= 0.99


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("dtype", [DType.F16, DType.Q4_0, DType.Q5_1, DType.Q8_0], ids=lambda dtype: dtype.name)
def test_no_bit_depends_on_what_is_computed_together(dtype: DType, cpu: str, tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM3, dtype, hidden=128)
    ids, others = tokens_of(3, TOKENS), tokens_of(4, TOKENS)
    whole = logits(load(path, cpu=cpu), rows_of(0, ids))

    model = load(path, cpu=cpu, slots=3, threads=1)
    single = [logits(model, [(0, place, token)]) for place, token in enumerate(ids)]
    assert np.array_equal(np.concatenate(single), whole), "one token a pass, one thread"
    for size in (7, 16, 65, 129):
        parts = [logits(model, rows_of(0, ids[at : at + size], at)) for at in range(0, TOKENS, size)]
        assert np.array_equal(np.concatenate(parts), whole), f"{size} tokens a pass"
    mixed = [row for pair in zip(rows_of(1, others), rows_of(2, ids), strict=True) for row in pair]
    assert np.array_equal(logits(model, mixed)[1::2], whole), "with another sequence between"
    model.copy(2, 1, 100)
    assert np.array_equal(logits(model, rows_of(1, ids[100:], 100)), whole[100:]), "after a copied prefix"
    assert np.array_equal(logits(model, rows_of(0, ids[70:], 70)), whole[70:]), "over what was there before"


@pytest.mark.parametrize("dtype", DType, ids=lambda dtype: dtype.name)
def test_next_tokens_are_those_of_chatglm_cpp(dtype: DType, tmp_path: Path) -> None:
    """Teacher-forced on its greedy text; where they differ, the two candidates are as good as equal."""
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM3, dtype, hidden=256, layers=2)
    peer = ChatGLMCppRunner(path, CONTEXT, bidirectional=False)
    ids = [5]
    with one_cpu():
        ids += generate(peer, ids, CONTEXT - 1)
    got = logits(load(path), rows_of(0, ids[:-1]))
    own = got.argmax(axis=1)
    spread = got.std()
    for place, (token, expected) in enumerate(zip(own, ids[1:], strict=True)):
        assert token == expected or got[place, token] - got[place, expected] < 0.1 * spread, place
    # the weights are noise, and so are its logits: near ties are common
    assert (own == np.array(ids[1:])).mean() >= 0.9


def test_rows_outside_the_model_are_refused(tmp_path: Path) -> None:
    model = load(write_random_model(tmp_path / "model.bin"))
    for row in [(1, 0, 5), (0, CONTEXT, 5), (0, -1, 5), (0, 0, 512), (0, 0, -1)]:
        with pytest.raises(ValueError, match="outside"):
            model.forward([row], [])
    with pytest.raises(ValueError, match="no such row"):
        model.forward([(0, 0, 5)], [1])


def test_a_processor_without_the_kernel(tmp_path: Path) -> None:
    spec = spec_of(write_random_model(tmp_path / "model.bin"))
    with pytest.raises(ModelFileError, match="--cpu mmx: this processor can run"):
        NativeModel(spec, CONTEXT, threads=1, cpu="mmx")


def test_a_file_that_changed_after_it_was_checked(tmp_path: Path) -> None:
    """Cut short between the check and the loading: an error, not a crash."""
    path = write_random_model(tmp_path / "model.bin")
    spec = spec_of(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ModelFileError, match="outside the file"):
        NativeModel(spec, CONTEXT, threads=1)


def test_the_interpreter_runs_while_the_core_computes(tmp_path: Path) -> None:
    """The GIL is released: another thread counts on during a forward pass."""
    program = f"""
import threading
from pathlib import Path
import chatglm_native
from chatglm_server.model_files.containers import read_model_file
spec = read_model_file(Path({str(write_random_model(tmp_path / "model.bin", hidden=256, layers=4))!r})).spec
model = chatglm_native.Model(chatglm_native.ThreadPool(1), spec, context=256, slots=1, cpu={KERNELS[-1]!r})
rows = [(0, place, 5) for place in range(128)]
started, done = threading.Event(), threading.Event()
def compute():
    started.set()
    model.forward(rows, [])
    done.set()
threading.Thread(target=compute).start()
started.wait()
count = 0
while not done.wait(0.001):
    count += 1
print(count)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert int(result.stdout) > 5
