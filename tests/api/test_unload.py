"""A model that nobody asks gives its memory back, and comes back with the next request."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
from chatglm_bin_writer import DType

from chatglm_server.chat import CompletionRequest
from chatglm_server.decoding.runner import Runner
from chatglm_server.errors import ShuttingDown, WaitTooLong
from chatglm_server.loader import load_local_engine
from chatglm_server.sampling import Sampling
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.serving import RunningServer, user

PROMPT = {"prompt": "the " * 200, "max_tokens": 5, "temperature": 0}
QUESTION = {"messages": user("Hello!"), "max_tokens": 5, "temperature": 0}
WEIGHTS_MB = 58


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "idle.bin"
    write_random_model(path, dtype=DType.F16, hidden=1024, layers=3, max_length=4096, logits={300: 5.0})
    assert path.stat().st_size >= WEIGHTS_MB * 1e6
    return path


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    options = ("--unload-after-s", "0.3", "--kv-disk-after-s", "0", "--keep-alive-s", "0.01")
    cache = {"XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache"))}
    with RunningServer("--model", str(model), *options, env=cache) as running:
        yield running


def wait_until_unloaded(server: RunningServer) -> dict[str, object]:
    deadline = time.monotonic() + 60
    while (health := server.health()).get("loaded") is not False:
        assert time.monotonic() < deadline, health
        time.sleep(0.05)
    return health


def memory_mb(server: RunningServer) -> float:
    """The process's resident memory."""
    status = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii")
    size = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert size is not None
    return int(size[1]) / 1e3


def test_an_idle_model_gives_its_memory_back_and_knows_its_prompts(server: RunningServer) -> None:
    first = server.post("/v1/completions", json=PROMPT).json()
    loaded = memory_mb(server)
    assert first["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    health = wait_until_unloaded(server)
    assert health["status"] == "ok"
    if sys.platform == "linux":
        deadline = time.monotonic() + 30
        while memory_mb(server) > loaded - 0.9 * WEIGHTS_MB:
            assert time.monotonic() < deadline, (loaded, memory_mb(server))
            time.sleep(0.05)
    assert httpx.get(f"{server.url}/api/ps").json() == {"models": []}
    assert 'chatglm_kv_cache_tokens{model="idle"} 0.0' in httpx.get(f"{server.url}/metrics").text
    assert httpx.get(f"{server.url}/v1/models").json()["data"][0]["id"] == "idle"
    assert server.health()["loaded"] is False

    again = server.post("/v1/completions", json=PROMPT).json()
    assert again["choices"][0]["text"] == first["choices"][0]["text"]
    assert again["usage"]["prompt_tokens_details"]["cached_tokens"] == 128
    disk: dict[str, int] = wait_until_unloaded(server)["kv_disk"]  # type: ignore[assignment]
    assert (disk["read"], disk["written"]) == (128, 128)
    assert b": keep-alive" in server.stream(QUESTION)


def test_a_model_that_cannot_be_loaded_again(server: RunningServer, model: Path) -> None:
    wait_until_unloaded(server)
    away = model.rename(model.with_suffix(".away"))
    missing = server.post(json=QUESTION)
    assert (missing.status_code, missing.json()["error"]["code"]) == (500, "model_file_error")
    assert (
        missing.json()["error"]["message"]
        == f"{model}: No such file or directory; the server needs it to load the model"
    )
    assert server.post("/v1/messages", json=QUESTION).json()["error"]["type"] == "api_error"
    assert b'"code":"model_file_error"' in server.stream(QUESTION)
    model.write_bytes(away.read_bytes()[:-1])
    assert "has changed since the server was started" in server.post(json=QUESTION).json()["error"]["message"]
    away.rename(model)
    assert server.post(json=QUESTION).status_code == 200
    assert "Traceback" not in server.output


def test_a_server_stops_while_it_loads_again(model: Path) -> None:
    engine = load_local_engine(Settings(_env_file=None, model=str(model), unload_after_s=0.01, kv_disk_mb=0))
    load, loads, again = engine._load_runner, [], threading.Event()

    def load_slowly(stopping: Callable[[], bool]) -> Runner:
        """The second time it goes on until it is stopped."""
        loads.append(stopping)
        if len(loads) > 1:
            again.set()
            while not stopping():
                time.sleep(0.01)
        return load(stopping)

    engine._load_runner = load_slowly

    async def stop_while_loading() -> None:
        await engine.load()
        while (await engine.status()).loaded:  # noqa: ASYNC110 (the engine tells nobody)
            await asyncio.sleep(0.01)
        async with aclosing(engine.complete(CompletionRequest(model=None, prompts=("the",)))) as events:
            await anext(events)
            token = asyncio.ensure_future(anext(events))
            await asyncio.to_thread(again.wait, 30)
            engine.stop()
            with pytest.raises(ShuttingDown):
                await token
        await engine.close()
        assert not (await engine.status()).loaded

    asyncio.run(asyncio.wait_for(stop_while_loading(), 60))
    assert len(loads) == 2


def test_a_model_that_was_loaded_for_nobody_is_unloaded(model: Path) -> None:
    """Who asked for it has left before it was in memory."""
    engine = load_local_engine(Settings(_env_file=None, model=str(model), unload_after_s=0.05, kv_disk_mb=0))
    load, begun, goes_on = engine._load_runner, threading.Event(), threading.Event()

    def load_slowly(stopping: Callable[[], bool]) -> Runner:
        begun.set()
        goes_on.wait(30)
        return load(stopping)

    engine._load_runner = load_slowly

    async def leave() -> None:
        left = asyncio.create_task(engine.load())
        await asyncio.to_thread(begun.wait, 30)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        assert engine.takes_memory
        goes_on.set()
        while engine.takes_memory:  # noqa: ASYNC110 (the engine tells nobody)
            await asyncio.sleep(0.01)
        engine.stop()
        await engine.close()

    asyncio.run(asyncio.wait_for(leave(), 60))


def test_the_time_to_load_is_a_part_of_the_wait(model: Path) -> None:
    engine = load_local_engine(Settings(_env_file=None, model=str(model), unload_after_s=3600, kv_disk_mb=0))
    load = engine._load_runner

    def load_slowly(stopping: Callable[[], bool]) -> Runner:
        time.sleep(1.5)
        return load(stopping)

    engine._load_runner = load_slowly

    async def ask(max_wait_s: float) -> None:
        request = CompletionRequest(("the",), Sampling(max_tokens=2), max_wait_s=max_wait_s)
        async with aclosing(engine.complete(request)) as events:
            assert [event async for event in events]

    async def ask_an_unloaded_model() -> None:
        await engine.load()
        assert engine.load_s >= 1.5
        await ask(1000)
        loaded = (await engine.status()).wait_s
        while not await engine.unload():  # noqa: ASYNC110 (the engine tells nobody)
            await asyncio.sleep(0.01)
        unloaded = (await engine.status()).wait_s
        assert loaded is not None
        assert unloaded is not None
        assert unloaded >= engine.load_s
        with pytest.raises(WaitTooLong) as refused:
            await ask(1)
        assert refused.value.retry_after in range(1, 100)
        while not engine.loaded:  # noqa: ASYNC110 (the engine tells nobody)
            await asyncio.sleep(0.01)
        await ask(1000)
        engine.stop()
        await engine.close()

    asyncio.run(asyncio.wait_for(ask_an_unloaded_model(), 60))
