"""The context that a server offers by itself fits into memory beside the weights."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from chatglm_server import context_length
from chatglm_server.errors import ModelFileError
from chatglm_server.loader import load_local_engine
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import ModelSpec
from chatglm_server.settings import Settings
from tests.random_gguf import Shape, write_random_gguf


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("context") / "long.gguf"
    write_random_gguf(path, Shape(context=131_072))
    return path


def memory_for(monkeypatch: pytest.MonkeyPatch, spec: ModelSpec, tokens: int) -> None:
    """A machine on which the weights, and `tokens` beside them, take nine tenths."""
    memory = int((spec.nbytes + spec.cache_bytes * tokens) / 0.9) + 1
    monkeypatch.setattr(context_length, "memory_limit", lambda: (memory, False))


def engine_context(model: Path, **options: int | str) -> int | None:
    return load_local_engine(Settings(_env_file=None, model=str(model), **options)).info.context_length  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fitting", "offered"), [(131_072, 131_072), (131_071, 130_048), (5000, 4096), (100, 2048), (-1, 2048)]
)
def test_the_default_fits(
    model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fitting: int, offered: int
) -> None:
    memory_for(monkeypatch, read_model_file(model).spec, fitting)
    with caplog.at_level(logging.WARNING):
        assert engine_context(model) == offered
    assert (f"context: {offered} of the model's 131072 tokens" in caplog.text) == (offered < 131_072)


def test_a_cache_of_eight_bits_holds_more(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory_for(monkeypatch, read_model_file(model).spec, 5000)
    chosen = {name: engine_context(model, kv_cache_type=name) for name in ("auto", "f16", "q8")}
    assert chosen == {"auto": 4096, "f16": 4096, "q8": 9216}


def test_a_chosen_length_may_be_more(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys and values take memory when they are used, and the system may have some to swap to."""
    spec = read_model_file(model).spec
    memory_for(monkeypatch, spec, 5000)
    assert engine_context(model, context_length=5001) == 5001
    with pytest.raises(ModelFileError, match="try --context-length 4096"):
        engine_context(model, context_length=131_072)
    with pytest.raises(ModelFileError, match="made for at most 131072 tokens"):
        engine_context(model, context_length=131_073)


@pytest.mark.parametrize(
    ("bits", "remedy"), [(27, "Q8_0"), (8.61, "Q8_0"), (8.59, "Q6_K"), (4.31, "Q3_K_M"), (3.4, "a smaller model")]
)
def test_weights_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: float, remedy: str) -> None:
    """A machine that has room for a short conversation beside weights of so many bits; the file's have 32."""
    path = write_random_gguf(tmp_path / "model.gguf", Shape(layers=1, heads=2, kv_heads=1, head_size=16, hidden=1024))
    spec = read_model_file(path).spec
    memory = int((bits / 8 * spec.parameters + 2048 * spec.cache_bytes) / 0.9)
    monkeypatch.setattr(context_length, "memory_limit", lambda: (memory, False))
    with pytest.raises(ModelFileError, match=f"it would swap; take {remedy}$"):
        load_local_engine(Settings(_env_file=None, model=str(path)))
    monkeypatch.setattr(context_length, "memory_limit", lambda: (memory * 32, False))
    load_local_engine(Settings(_env_file=None, model=str(path)))


def test_prefixes_fit_too(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are kept of earlier conversations, unless their memory was chosen."""
    spec = read_model_file(model).spec
    memory_for(monkeypatch, spec, 5000)
    for chosen, most in (({}, 5000), ({"kv_cache_mb": 4096}, (4096 << 20) // spec.cache_bytes)):
        engine = load_local_engine(Settings(_env_file=None, model=str(model), **chosen))  # type: ignore[arg-type]
        assert engine._cache_positions == most
