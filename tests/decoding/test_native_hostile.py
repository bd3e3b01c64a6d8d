"""The compute core with what it should never be given: an exception or a sound result, never a crash.

Here a crash ends pytest. Under ``scripts/test-native`` so does a byte read or written outside of what it belongs to.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import chatglm_native
import numpy as np
import numpy.typing as npt
import pytest
from chatglm_bin_writer import DType, ModelType
from hypothesis import given, settings
from hypothesis import strategies as st

from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import ModelSpec
from tests.native_kernels import KERNELS, examples
from tests.random_models import write_random_model

REFUSALS = (RuntimeError, ValueError, TypeError, MemoryError)
CONTEXT = 40
SIZES = st.sampled_from([-(2**63), -(2**31), -1, 0, 1, 16, 31, 63, 64, 65, 2**16, 2**31 - 1, 2**31, 2**63, 2**64 - 1])
ANY = st.one_of(SIZES, st.integers(-(2**65), 2**65))
FLOATS = st.floats(width=32)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    path = write_random_model(tmp_path_factory.mktemp("model") / "model.bin", dtype=DType.Q4_0)
    return read_model_file(path).spec


@pytest.fixture(scope="module")
def model(spec: ModelSpec) -> chatglm_native.Model:
    return load(spec, slots=2)


def load(spec: ModelSpec, *, context: int = CONTEXT, slots: int = 1, cpu: str = "auto") -> chatglm_native.Model:
    return chatglm_native.Model(chatglm_native.ThreadPool(2), spec, context=context, slots=slots, cpu=cpu)


def logits(model: chatglm_native.Model, rows: list[tuple[int, int, int]]) -> npt.NDArray[np.float32]:
    return cast(npt.NDArray[np.float32], np.from_dlpack(model.forward(rows, list(range(len(rows))))))


def load_and_read(spec: ModelSpec) -> None:
    assert logits(load(spec), [(0, 0, 0)]).shape == (1, spec.vocab_size)


@settings(max_examples=examples(400), deadline=None)
@given(st.data())
def test_tables_that_do_not_fit_the_file(spec: ModelSpec, data: st.DataObject) -> None:
    size, tensors = spec.path.stat().st_size, dict(spec.tensors)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(tensors)))
        tensor = tensors[name]
        change = data.draw(st.sampled_from(["offset", "nbytes", "type", "shape", "path", "name", "drop", "copy"]))
        if change == "drop":
            del tensors[name]
        elif change in ("name", "copy"):
            tensors[data.draw(st.one_of(st.text(), st.sampled_from(sorted(spec.tensors))))] = tensor
            if change == "name":
                tensors.pop(name, None)
        else:
            value: Any = {
                "offset": st.one_of(ANY, st.integers(0, size)),
                "nbytes": st.one_of(ANY, st.integers(0, size)),
                "type": ANY,
                "shape": st.one_of(st.lists(ANY, max_size=4), st.just(None)),
                "path": st.sampled_from(["", "/", "/nowhere/model.bin", "/dev/zero", "a\0b", None, 7]),
            }[change]
            tensors[name] = replace(tensor, **{change: data.draw(value)})
    changed = replace(spec, tensors=tensors)
    try:
        load_and_read(changed)
    except REFUSALS:
        return
    # tensors that fit may lie elsewhere in the file; an optional one may be missing
    for name, tensor in spec.tensors.items():
        found = tensors.get(name)
        if found is None:
            assert name.endswith(".bias") or name == "output.weight"
            continue
        assert 0 <= found.offset <= size - found.nbytes
        assert (tuple(found.shape), found.nbytes) == (tensor.shape, tensor.nbytes)


SIZE_NAMES = ("vocab_size", "hidden_size", "layers", "heads", "kv_heads", "key_size", "value_size", "ffn_size")


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from((*SIZE_NAMES, "rotary_size")), st.one_of(ANY, st.none(), st.text(), FLOATS))
def test_sizes_that_are_no_network(spec: ModelSpec, name: str, value: Any) -> None:
    good = 0 < value <= spec.key_size if name == "rotary_size" and isinstance(value, int) else False
    if value == getattr(spec, name) or (good and value % 2 == 0):
        return
    with pytest.raises(REFUSALS):
        load_and_read(replace(spec, **{name: value}))


@settings(max_examples=examples(100), deadline=None)
@given(st.sampled_from(("norm_epsilon", "rope_theta")), st.one_of(FLOATS, st.none(), st.text()))
def test_fractions_that_are_no_network(spec: ModelSpec, name: str, value: Any) -> None:
    if isinstance(value, float) and value > 0 and np.isfinite(value):
        return
    with pytest.raises(REFUSALS):
        load_and_read(replace(spec, **{name: value}))


@pytest.mark.parametrize("change", [{"architecture": "llama"}, {"rotary_layout": "spiral"}, {"tensors": {}}])
def test_names_that_the_core_does_not_know(spec: ModelSpec, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"llama|rotary_layout|token_embd"):
        load_and_read(replace(spec, **change))


def test_a_tensor_that_no_network_reads(spec: ModelSpec) -> None:
    """Left out, it would make the results wrong."""
    extra = {"blk.0.attn_sinks.weight": spec.tensors["output_norm.weight"]}
    with pytest.raises(ValueError, match=r"has no tensor blk\.0\.attn_sinks\.weight"):
        load(replace(spec, tensors={**spec.tensors, **extra}))


@pytest.mark.parametrize("numbers", [(0, 1), (-1, 1), (2**31, 1), (40, 0), (40, 4097), (2**24 + 1, 1)])
def test_contexts_and_slots(spec: ModelSpec, numbers: tuple[int, int]) -> None:
    context, slots = numbers
    with pytest.raises(REFUSALS):
        load(spec, context=context, slots=slots)


@pytest.mark.parametrize("threads", [-1, 0, 1025, 2**31, 2**64])
def test_threads(threads: int) -> None:
    with pytest.raises(REFUSALS):
        chatglm_native.ThreadPool(threads)


def test_a_context_for_which_there_is_no_memory(spec: ModelSpec) -> None:
    """128 GiB for each slot: more than the address space has for as many as there may be. Others still work."""
    deep = write_random_model(spec.path.with_name("deep.bin"), dtype=DType.Q4_0, layers=64)
    model = load(read_model_file(deep).spec, context=2**24, slots=4096)
    with pytest.raises(MemoryError):
        model.forward([(slot, 0, 5) for slot in range(4096)], [])
    for slot in range(4096):
        model.truncate(slot, 0)
    assert np.isfinite(logits(model, [(4000, 0, 5)])).all()


@pytest.mark.parametrize("path", ["", "/", "/nowhere/model.bin", "/dev/zero"])
def test_what_is_no_file(spec: ModelSpec, path: str) -> None:
    tensors = {name: replace(tensor, path=Path(path)) for name, tensor in spec.tensors.items()}
    with pytest.raises(RuntimeError, match="cannot read"):
        load(replace(spec, tensors=tensors))


def test_a_file_that_shrinks_while_it_is_read(tmp_path: Path) -> None:
    """Each load meets its own moment of the shrinking; a mapped file would be a bus error."""
    path = write_random_model(tmp_path / "model.bin", dtype=DType.F32, hidden=512, layers=2)
    spec, whole = read_model_file(path).spec, path.read_bytes()
    outcomes = set()
    for step in range(24):
        path.write_bytes(whole)
        begun = threading.Event()

        def shrink(begun: threading.Event = begun, step: int = step) -> None:
            begun.wait()
            for _ in range(2**step // 64):
                pass
            os.truncate(path, 4096)

        thread = threading.Thread(target=shrink)
        thread.start()
        begun.set()
        try:
            load(spec)
            outcomes.add("whole")
        except (RuntimeError, ValueError) as error:
            outcomes.add(str(error))
        thread.join()
    assert outcomes - {"whole"}, "at no moment did the shrinking show"


@pytest.mark.parametrize("dtype", DType, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("fill", [b"\xff", b"\x00", b"\x7c", None], ids=["NaN", "zero", "huge", "random"])
def test_weights_that_are_noise(dtype: DType, fill: bytes | None, tmp_path: Path) -> None:
    """Scales, norms and biases may be infinite or no numbers: the tokens drawn are tokens all the same."""
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM2, dtype, layers=1)
    file, data = read_model_file(path), bytearray(path.read_bytes())
    for tensor in file.spec.tensors.values():
        noise = np.random.default_rng(0).bytes(tensor.nbytes) if fill is None else fill * tensor.nbytes
        data[tensor.offset : tensor.offset + tensor.nbytes] = noise
    path.write_bytes(data)
    for cpu in KERNELS:
        model = load(file.spec, cpu=cpu)
        got = model.forward([(0, place, place) for place in range(20)], [18, 19])
        for row, temperature in enumerate([0.0, 1.0]):
            sampler = chatglm_native.Sampler([], temperature=temperature, top_logprobs=5)
            (((token, logprob, top),),) = chatglm_native.sample(
                chatglm_native.ThreadPool(1), got, [(sampler, row, [], [])]
            )
            assert 0 <= token < file.spec.vocab_size
            assert all(np.isfinite([logprob, *(value for _, value in top)]))


ROWS = st.lists(st.tuples(st.integers(-1, 2), st.integers(-1, CONTEXT), st.integers(-1, 512)), max_size=60)
WILD_ROWS = st.lists(st.tuples(ANY, ANY, ANY), max_size=5)


@settings(max_examples=examples(300), deadline=None)
@given(st.one_of(ROWS, WILD_ROWS), st.lists(st.one_of(st.integers(-1, 60), ANY), max_size=4))
def test_rows(model: chatglm_native.Model, rows: list[tuple[int, int, int]], wanted: list[int]) -> None:
    sound = (
        all(0 <= row[0] < 2 and 0 <= row[1] < CONTEXT and 0 <= row[2] < 512 for row in rows)
        and len({row[:2] for row in rows}) == len(rows)
        and all(0 <= index < len(rows) for index in wanted)
        and len(wanted) <= len(rows)
    )
    if sound:
        assert np.from_dlpack(model.forward(rows, wanted)).shape == (len(wanted), 512)
    else:
        with pytest.raises((ValueError, TypeError)):
            model.forward(rows, wanted)


def test_a_refused_pass_leaves_the_model_as_it_was(model: chatglm_native.Model) -> None:
    rows = [(0, place, place + 3) for place in range(30)]
    expected = logits(model, rows)
    with pytest.raises(ValueError, match="same place"):
        model.forward([(0, 5, 9), (0, 5, 8)], [])
    with pytest.raises(ValueError, match="outside"):
        model.forward([(0, 5, 9), (0, 6, 512)], [])
    assert np.array_equal(logits(model, [(0, 30, 5)]), logits(model, [*rows, (0, 30, 5)])[30:])
    assert np.array_equal(logits(model, rows), expected)


@settings(max_examples=examples(200), deadline=None)
@given(*[st.one_of(st.integers(-1, CONTEXT + 1), ANY)] * 3)
def test_copies(model: chatglm_native.Model, source: int, target: int, count: int) -> None:
    if 0 <= source < 2 and 0 <= target < 2 and 0 <= count <= CONTEXT:
        model.copy(source, target, count)
    else:
        with pytest.raises((ValueError, TypeError)):
            model.copy(source, target, count)


def test_callers_take_turns(model: chatglm_native.Model) -> None:
    """Two threads in one model at once: each gets what it would get alone."""
    prompts = [[(sequence, place, 7 * place + sequence) for place in range(CONTEXT)] for sequence in (0, 1)]
    expected = [logits(model, rows) for rows in prompts]
    wrong: list[int] = []

    def read(index: int) -> None:
        for _ in range(20):
            if not np.array_equal(logits(model, prompts[index]), expected[index]):
                wrong.append(index)

    in_threads(lambda: read(0), lambda: read(1))
    assert not wrong


def in_threads(*work: Callable[[], None]) -> None:
    threads = [threading.Thread(target=target) for target in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
