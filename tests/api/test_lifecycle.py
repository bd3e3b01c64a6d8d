"""A request's life and the server's: the queue, clients that go away, start and stop."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from chatglm_bin_writer import DType

from chatglm_server.app import create_app
from chatglm_server.decoding.runner import Runner
from chatglm_server.errors import ShuttingDown
from chatglm_server.loader import load_local_engine
from chatglm_server.service import Service
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.serving import RunningServer, user

LONG = {"prompt": "the", "max_tokens": 30000, "temperature": 0}
"""Keeps the model of `server` busy for many seconds: it always writes the same token, so it never ends of itself."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "slow.bin"
    return str(write_random_model(path, dtype=DType.F16, hidden=512, layers=3, max_length=32768, logits={300: 5.0}))


@pytest.fixture(scope="module")
def server(model: str) -> Iterator[RunningServer]:
    with RunningServer("--model", model, "--parallel", "1") as running:
        yield running


def test_client_that_leaves_a_stream_frees_the_model(server: RunningServer) -> None:
    with httpx.stream("POST", f"{server.url}/v1/completions", json={**LONG, "stream": True}, timeout=60) as response:
        received = response.iter_bytes()
        next(received)
        assert server.queue()["running"] == 1
    server.wait_for_queue(running=0, waiting=0, timeout=5)


def test_client_that_leaves_a_plain_request_frees_the_model(server: RunningServer) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/completions", json=LONG, timeout=0.5)
    server.wait_for_queue(running=0, waiting=0, timeout=5)


def test_client_that_leaves_the_queue_frees_its_place(server: RunningServer) -> None:
    with httpx.stream("POST", f"{server.url}/v1/completions", json={**LONG, "stream": True}, timeout=60) as response:
        received = response.iter_bytes()
        next(received)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/v1/completions", json=LONG, timeout=0.5)
        # It reads on, for an answer whose client does not read gives its place to others.
        queue = next(queue for _ in received if (queue := server.queue())["waiting"] == 0)
        assert queue["running"] == 1
    server.wait_for_queue(running=0, timeout=5)


def test_health_answers_during_an_answer(server: RunningServer) -> None:
    with httpx.stream("POST", f"{server.url}/v1/completions", json={**LONG, "stream": True}, timeout=60) as response:
        received = response.iter_bytes()
        next(received)
        assert server.health()["status"] == "ok"


def test_full_queue(model: str) -> None:
    with (
        RunningServer("--model", model, "--parallel", "1", "--max-queue", "1") as server,
        ThreadPoolExecutor(2) as pool,
    ):
        waiting = [pool.submit(server.post, "/v1/completions", json=LONG | {"max_tokens": 1000}) for _ in range(2)]
        server.wait_for_queue(running=1, waiting=1)
        refused = server.post(json={"messages": user("Hello!")})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) > 0
        assert refused.json()["error"]["code"] == "queue_full"
        assert [future.result().status_code for future in waiting] == [200, 200]
        assert server.post(json={"messages": user("Hello!"), "max_tokens": 1}).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stop_in_mid_stream(model: str, number: signal.Signals) -> None:
    with RunningServer("--model", model, "--parallel", "1") as server:
        waiting: list[httpx.Response] = []
        with httpx.stream("POST", f"{server.url}/v1/completions", json={**LONG, "stream": True}, timeout=60) as stream:
            lines = stream.iter_lines()
            next(lines)
            other = threading.Thread(target=lambda: waiting.append(server.post("/v1/completions", json=LONG)))
            other.start()
            server.wait_for_queue(running=1, waiting=1)
            server.process.send_signal(number)
            last = [line for line in lines if line][-1]
        error = json.loads(last.removeprefix("data: "))["error"]
        assert error["code"] == "server_shutting_down"
        other.join(30)
        assert waiting[0].status_code == 503
        assert waiting[0].json()["error"]["code"] == "server_shutting_down"
        assert server.process.wait(30) == 0
    assert "Traceback" not in server.output
    assert server.output.count("error=server_shutting_down") == 2  # the stream's line and the waiting request's


def test_start_says_what_where_and_how_to_stop() -> None:
    with RunningServer() as server:
        assert "demo" in server.output
        assert f"{server.url}/v1" in server.output
        assert "Ctrl-C" in server.output
        assert "demonstration" in server.output


def test_requests_while_the_model_is_loading(model: str) -> None:
    """In this process, around an engine whose loading waits until it has been looked at."""
    settings = Settings(_env_file=None, model=model)
    engine = load_local_engine(settings)
    go = threading.Event()
    load = engine._load_runner

    def load_later(stopping: Callable[[], bool]) -> Runner:
        go.wait(30)
        return load(stopping)

    engine._load_runner = load_later

    async def look() -> list[httpx.Response]:
        service = Service(engine)
        app = create_app(settings, service)
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            early = [
                await client.get("/health"),
                await client.post("/v1/chat/completions", json={"messages": user("Hello!")}),
            ]
            go.set()
            await service.start()
            return [*early, await client.get("/health")]

    health, chat, later = asyncio.run(look())
    assert (health.status_code, health.json()["status"]) == (503, "loading")
    assert (chat.status_code, chat.json()["error"]["code"]) == (503, "model_loading")
    assert int(chat.headers["retry-after"]) > 0
    assert (later.status_code, later.json()["status"]) == (200, "ok")


def test_loading_can_be_stopped(model: str) -> None:
    engine = load_local_engine(Settings(_env_file=None, model=model))
    with pytest.raises(ShuttingDown):
        engine._load_runner(lambda: True)


def test_slow_reader_does_not_hold_the_model(server: RunningServer) -> None:
    """A client that reads nothing of its answer: the model is free as soon as the answer is written."""
    with httpx.stream("POST", f"{server.url}/v1/completions", json={**LONG, "max_tokens": 50, "stream": True}):
        server.wait_for_queue(running=0)
        assert server.post("/v1/completions", json=LONG | {"max_tokens": 1}).status_code == 200
