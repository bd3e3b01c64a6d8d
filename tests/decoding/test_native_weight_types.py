"""Every type of weights on every family of kernels: its values and products, against the gguf package and NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import chatglm_native
import gguf
import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType as Kind

from chatglm_server.model_files.spec import TensorSpec
from tests.native_kernels import KERNELS

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]

HALVES = {
    Kind.Q4_0: [0],
    Kind.Q4_1: [0, 2],
    Kind.Q5_0: [0],
    Kind.Q5_1: [0, 2],
    Kind.Q8_0: [0],
    Kind.IQ4_NL: [0],
    Kind.IQ4_XS: [0],
    Kind.Q2_K: [80, 82],
    Kind.Q3_K: [108],
    Kind.Q4_K: [0, 2],
    Kind.Q5_K: [0, 2],
    Kind.Q6_K: [208],
}
"""The quantized types, and where a block has its scale and its minimum, in float16."""
FLOATS = [Kind.F32, Kind.F16, Kind.BF16]
TYPES = [*FLOATS, *HALVES]


def columns_of(kind: Kind) -> int:
    """Two tiles and a part of one; blocks of 256 columns have no parts."""
    return 768 if gguf.GGML_QUANT_SIZES[kind][0] == 256 else 672


def random_blocks(kind: Kind, rows: int, columns: int, seed: int) -> Bytes:
    """(rows, bytes). Any bytes are codes; the scales are small, and some are negative or zero."""
    random = np.random.default_rng(seed)
    if kind in FLOATS:
        return gguf.quantize(random.normal(size=(rows, columns)).astype(np.float32), kind).view(np.uint8)
    size, nbytes = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows * columns // size, nbytes), dtype=np.uint8)
    set_halves(kind, blocks, random.normal(0, 0.01, (2, len(blocks))) * (random.random((2, len(blocks))) > 0.05))
    return blocks.reshape(rows, -1)


def set_halves(kind: Kind, blocks: Bytes, values: npt.NDArray[np.float64]) -> None:
    for place, numbers in zip(HALVES[kind], values, strict=False):
        blocks[:, place : place + 2] = numbers.astype("<f2").view(np.uint8).reshape(-1, 2)


def load(path: Path, kind: Kind, data: Bytes, columns: int, cpu: str, threads: int = 1) -> chatglm_native.Matrix:
    path.write_bytes(data.tobytes())
    tensor = TensorSpec(path, int(kind), (len(data), columns), 0, data.size)
    return chatglm_native.Matrix(chatglm_native.ThreadPool(threads), tensor, cpu=cpu)


def values(kind: Kind, data: Bytes) -> Floats:
    """What the blocks stand for, by the gguf package."""
    stored = {Kind.F32: "<f4", Kind.F16: "<f2"}
    return gguf.dequantize(data.view(stored[kind]) if kind in stored else data, kind).astype(np.float32)


def multiply(matrix: chatglm_native.Matrix, x: Floats) -> Floats:
    return cast(Floats, np.from_dlpack(matrix.multiply(x)))


def rounded(x: Floats) -> npt.NDArray[np.float64]:
    """Activations as the core rounds them: 32 share a scale, by which the largest is 127 or -127."""
    blocks = x.reshape(-1, 32)
    largest = np.abs(blocks).max(axis=1, keepdims=True)
    inverse = np.divide(np.float32(127), largest, out=np.zeros_like(largest), where=largest > 0)
    made: npt.NDArray[np.float64] = np.rint(blocks * inverse) * (largest / np.float32(127)).astype(np.float64)
    return made.reshape(x.shape)


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_the_values_are_those_of_the_gguf_package(kind: Kind, tmp_path: Path) -> None:
    data = random_blocks(kind, 19, columns_of(kind), seed=1)
    expected = values(kind, data)
    for cpu in KERNELS:
        matrix = load(tmp_path / "weights", kind, data, columns_of(kind), cpu)
        assert np.array_equal(np.stack([np.from_dlpack(matrix.row(row)) for row in range(len(data))]), expected)


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_products_are_those_of_numpy(kind: Kind, cpu: str, tmp_path: Path) -> None:
    """To the rounding of a float sum, with the activations rounded as the core does."""
    columns = columns_of(kind)
    data = random_blocks(kind, 35, columns, seed=2)
    x = np.random.default_rng(3).normal(size=(9, columns)).astype(np.float32)
    x[4, 32:64] = 0
    read = x.astype(np.float64) if kind in FLOATS else rounded(x)
    weights = values(kind, data).astype(np.float64)
    error = np.abs(multiply(load(tmp_path / "weights", kind, data, columns, cpu), x) - read @ weights.T)
    assert (error <= 1e-5 * (np.abs(read) @ np.abs(weights).T + 1e-3)).all()


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("kind", HALVES, ids=lambda kind: kind.name)
def test_no_sum_overflows(kind: Kind, cpu: str, tmp_path: Path) -> None:
    """The largest and the smallest codes, and activations at both ends of their range."""
    columns = columns_of(kind)
    size, nbytes = gguf.GGML_QUANT_SIZES[kind]
    data = np.repeat(np.array([0x00, 0xFF, 0x80, 0x7F], np.uint8), columns // size * nbytes).reshape(4, -1)
    blocks = data.reshape(-1, nbytes)
    set_halves(kind, blocks, np.full((2, len(blocks)), 0.25))
    signs = np.where(np.arange(columns) % 2 == 0, 1, -1)
    pairs = np.where(np.arange(columns) % 4 < 2, 1, -1)
    x = np.stack([np.ones(columns), -np.ones(columns), signs, -signs, pairs]).astype(np.float32)
    weights = values(kind, data).astype(np.float64)
    got = multiply(load(tmp_path / "weights", kind, data, columns, cpu), x)
    assert np.allclose(got, x @ weights.T, rtol=1e-5, atol=1e-5 * np.abs(weights).sum(axis=1).max())


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.name)
def test_no_bit_depends_on_what_is_multiplied_together(kind: Kind, cpu: str, tmp_path: Path) -> None:
    columns = columns_of(kind)
    data = random_blocks(kind, 50, columns, seed=4)
    x = np.random.default_rng(5).normal(size=(131, columns)).astype(np.float32)
    whole = multiply(load(tmp_path / "weights", kind, data, columns, cpu, threads=2), x)
    matrix = load(tmp_path / "weights", kind, data, columns, cpu)
    for size in (1, 2, 3, 5, 7):
        parts = [multiply(matrix, x[at : at + size]) for at in range(0, 7 * size, size)]
        assert np.array_equal(np.concatenate(parts), whole[: 7 * size]), f"{size} tokens"
    apart = [multiply(load(tmp_path / "weights", kind, data[at : at + 16], columns, cpu), x[:5]) for at in (0, 16, 48)]
    assert np.array_equal(np.concatenate(apart, axis=1), np.concatenate([whole[:5, :32], whole[:5, 48:]], axis=1))


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("kind", [Kind.Q4_0, Kind.Q5_1, Kind.Q8_0, Kind.IQ4_NL, Kind.F16], ids=lambda kind: kind.name)
@pytest.mark.parametrize("columns", [32, 288, 928])
def test_columns_that_do_not_fill_a_tile(kind: Kind, columns: int, cpu: str, tmp_path: Path) -> None:
    data = random_blocks(kind, 3, columns, seed=6)
    x = np.random.default_rng(7).normal(size=(2, columns)).astype(np.float32)
    read = x.astype(np.float64) if kind in FLOATS else rounded(x)
    expected = read @ values(kind, data).astype(np.float64).T
    got = multiply(load(tmp_path / "weights", kind, data, columns, cpu), x)
    assert np.allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("cpu", KERNELS)
@pytest.mark.parametrize("kind", HALVES, ids=lambda kind: kind.name)
def test_broken_scales_break_their_own_rows_only(kind: Kind, cpu: str, tmp_path: Path) -> None:
    columns = columns_of(kind)
    data = random_blocks(kind, 18, columns, seed=8)
    x = np.random.default_rng(9).normal(size=(3, columns)).astype(np.float32)
    good = multiply(load(tmp_path / "weights", kind, data, columns, cpu), x)
    for row, scale in ((2, np.nan), (17, np.inf)):
        blocks = data[row].reshape(-1, gguf.GGML_QUANT_SIZES[kind][1])
        set_halves(kind, blocks, np.full((2, len(blocks)), scale))
    got = multiply(load(tmp_path / "weights", kind, data, columns, cpu), x)
    rest = [row for row in range(18) if row not in (2, 17)]
    assert np.array_equal(got[:, rest], good[:, rest])
    assert not np.isfinite(got[:, [2, 17]]).any()
    x[1] = np.nan
    assert np.array_equal(multiply(load(tmp_path / "weights", kind, data, columns, cpu), x)[::2], got[::2], True)


def test_what_is_no_matrix_is_refused(tmp_path: Path) -> None:
    path, pool = tmp_path / "weights", chatglm_native.ThreadPool(1)
    path.write_bytes(bytes(4096))
    for kind, shape, nbytes, message in (
        (Kind.F32, (64,), 256, "two numbers"),
        (Kind.F32, (0, 64), 0, "two numbers"),
        (Kind.F32, (1, 1 << 40), 4, "two numbers"),
        (Kind.Q4_0, (2, 48), 54, "48 columns, not a multiple of 32"),
        (Kind.Q4_K, (2, 288), 324, "288 columns, not a multiple of 256"),
        (Kind.IQ2_XS, (2, 256), 148, "unknown weight type"),
        (Kind.Q6_K, (2, 256), 400, "bytes of its shape and type"),
        (Kind.Q6_K, (32, 256), 6720, "outside the file"),
    ):
        with pytest.raises(ValueError, match=message):
            chatglm_native.Matrix(pool, TensorSpec(path, int(kind), shape, 0, nbytes))
    matrix = chatglm_native.Matrix(pool, TensorSpec(path, int(Kind.F32), (2, 64), 0, 512))
    for row in (-1, 2):
        with pytest.raises(ValueError, match="no such row"):
            matrix.row(row)
    with pytest.raises(ValueError, match="columns"):
        matrix.multiply(np.zeros((1, 65), np.float32))
    with pytest.raises(TypeError):
        matrix.multiply(np.zeros((1, 64), np.float64))
