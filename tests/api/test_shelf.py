"""Several models by name: each request is answered by the one that it names."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from chatglm_bin_writer import DType
from prometheus_client.parser import text_string_to_metric_families as prometheus

from chatglm_server.chat import Accepted, CompletionRequest, Event, Finish
from chatglm_server.decoding.runner import Runner
from chatglm_server.engine.shelf import ShelfEngine
from chatglm_server.errors import WaitTooLong
from chatglm_server.loader import load_engine
from chatglm_server.sampling import Sampling
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.serving import RunningServer, user

SHELF = ("models/a.bin", "models/b.bin", "models/c.bin")
NAMES = ("a", *SHELF[1:])
"""By which ``/v1/models`` lists them."""
FIRST_LETTER = 3 + 256 + 2 + 32  # the id of "A": control pieces, bytes, two blanks, and the letters from "!" on


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "models").mkdir()
    for number, name in enumerate(SHELF):
        logits = {FIRST_LETTER + number: 5.0}
        write_random_model(folder / name, dtype=DType.F16, hidden=256, max_length=32768, logits=logits)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    options = ("--models-max", "2", "--keep-alive-s", "0.01", "--kv-disk-mb", "0")
    home = {"HOME": str(folder), "HF_HOME": str(folder)}
    with RunningServer("--model", "models/a.bin", *options, env=home, cwd=folder) as running:
        yield running


def ask(server: RunningServer, model: str, **more: object) -> str:
    body = {"model": model, "prompt": "the", "max_tokens": 3, "temperature": 0}
    answer = server.post("/v1/completions", json=body | more).json()
    text: str = answer["choices"][0]["text"]
    return f"{answer['model']}: {text}"


def in_memory(server: RunningServer) -> list[object]:
    models: list[dict[str, object]] = server.health()["models"]  # type: ignore[assignment]
    return [model["model"] for model in models if model["loaded"]]


def test_a_name_of_the_shelf_is_answered_by_its_model(server: RunningServer) -> None:
    assert ask(server, "default-model") == "a: AAA"
    assert in_memory(server) == ["a"]
    assert ask(server, "models/b.bin") == "models/b.bin: BBB"
    assert in_memory(server) == ["a", "models/b.bin"]
    assert ask(server, "models/a.bin") == "a: AAA"
    assert ask(server, "models/c.bin") == "models/c.bin: CCC"
    assert in_memory(server) == ["a", "models/c.bin"], "b was used longest ago"

    listed = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert [model["id"] for model in listed] == list(NAMES)
    tags = httpx.get(f"{server.url}/api/tags").json()["models"]
    assert [model["name"] for model in tags] == ["a:latest", "models/b.bin:latest", "models/c.bin:latest"]
    generate = {"model": "models/b.bin:latest", "prompt": "x", "stream": False, "options": {"num_predict": 3}}
    answer = server.post("/api/generate", json=generate).json()
    assert set(answer["response"]) == {"B"}
    assert in_memory(server) == ["models/b.bin", "models/c.bin"]

    unknown = server.post(json={"model": "models/d.bin", "messages": user("hi")})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    message = {"model": "claude-x", "messages": user("hi"), "max_tokens": 2}
    assert server.post("/v1/messages", json=message).json()["content"][0]["text"] == "AA"

    samples = [s for f in prometheus(httpx.get(f"{server.url}/metrics").text) for s in f.samples]
    counts = {s.labels["model"]: s.value for s in samples if s.name == "chatglm_requests_total"}
    assert counts["models/b.bin"] == 2
    assert counts["models/c.bin"] == 1


def test_a_broken_file_on_the_shelf_is_an_error_of_its_own_requests(server: RunningServer, folder: Path) -> None:
    broken = folder / "models" / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(20))
    assert all(model["id"] in NAMES for model in httpx.get(f"{server.url}/v1/models").json()["data"])
    answer = server.post(json={"model": "models/broken.gguf", "messages": user("hi")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "model_file_error")
    broken.unlink()
    assert ask(server, "a") == "a: AAA"
    assert "Traceback" not in server.output


def test_models_that_do_not_fit_beside_each_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr("chatglm_server.loader.usable_memory", lambda: 1 << 20)

    async def ask_both() -> None:
        engine = load_engine(Settings(_env_file=None, model="models/a.bin", models_max=3, kv_disk_mb=0))
        await engine.load()
        request = CompletionRequest(model="models/b.bin", prompts=("the",), sampling=Sampling(max_tokens=2))
        with pytest.raises(WaitTooLong, match=r"models/b\.bin would be in memory in about"):
            await anext(engine.complete(replace(request, max_wait_s=1e-6)))
        assert (await engine.status()).models["a"].loaded
        events = [event async for event in engine.complete(request)]
        assert events[0] == Accepted("models/b.bin")
        assert isinstance(events[-1], Finish)
        status = await engine.status()
        assert {name: one.loaded for name, one in status.models.items()} == {"a": False, "models/b.bin": True}
        engine.stop()
        await engine.close()

    asyncio.run(asyncio.wait_for(ask_both(), 60))


@pytest.mark.parametrize("next_one", ["models/b.bin", "models/c.bin"])
def test_a_client_that_leaves_while_its_model_is_loaded(
    next_one: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading goes on: meanwhile others have no room, and who asks for that model then need not load it again."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr("chatglm_server.loader.usable_memory", lambda: 1 << 20)
    begun, goes_on, loads = threading.Event(), threading.Event(), []

    async def ask(engine: ShelfEngine, name: str) -> Event:
        request = CompletionRequest(model=name, prompts=("the",), sampling=Sampling(max_tokens=2))
        return [event async for event in engine.complete(request)][-1]

    async def leave_and_ask_again() -> None:
        engine = load_engine(Settings(_env_file=None, model="models/a.bin", models_max=3, kv_disk_mb=0))
        assert isinstance(engine, ShelfEngine)
        await engine.load()
        own = (await engine._opened("models/b.bin")).engine
        load = own._load_runner

        def load_slowly(stopping: Callable[[], bool]) -> Runner:
            loads.append(stopping)
            begun.set()
            goes_on.wait(30)
            return load(stopping)

        own._load_runner = load_slowly
        left = asyncio.create_task(ask(engine, "models/b.bin"))
        await asyncio.to_thread(begun.wait, 30)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        again = asyncio.create_task(ask(engine, next_one)) if next_one != "models/b.bin" else None
        await asyncio.sleep(1)
        assert not any(one.loaded for one in (await engine.status()).models.values())
        goes_on.set()
        while again is None and not own.loaded:  # noqa: ASYNC110 (the engine tells nobody)
            await asyncio.sleep(0.01)
        assert isinstance(await (again or ask(engine, next_one)), Finish)
        assert len(loads) == 1
        assert {name for name, one in (await engine.status()).models.items() if one.loaded} == {next_one}
        engine.stop()
        await engine.close()

    asyncio.run(asyncio.wait_for(leave_and_ask_again(), 60))


def test_a_model_in_mid_answer_stays(folder: Path) -> None:
    home = {"HOME": str(folder), "HF_HOME": str(folder)}
    options = ("--keep-alive-s", "0.01", "--kv-disk-mb", "0", "--speculation", "off")
    long = {"model": "a", "prompt": "the", "max_tokens": 30000, "stream": True}
    short = {"model": "models/b.bin", "prompt": "the", "max_tokens": 3}
    with (
        RunningServer("--model", "models/a.bin", *options, env=home, cwd=folder) as server,
        ThreadPoolExecutor() as pool,
    ):
        with httpx.stream("POST", f"{server.url}/v1/completions", json=long, timeout=60) as response:
            received = response.iter_bytes()
            next(received)
            other = pool.submit(server.stream, short, "/v1/completions")
            server.wait_for_queue(running=1, waiting=1)
            assert in_memory(server) == ["a"]
            assert any(b'"text":"A"' in piece for piece in received)
            assert not other.done()
        assert b": keep-alive" in other.result(60)
        assert other.result().count(b'"text":"B"') == 3
        assert in_memory(server) == ["models/b.bin"]
