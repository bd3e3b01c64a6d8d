"""Several models by name: each request is answered by the one that it names."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from chatglm_bin_writer import DType
from prometheus_client.parser import text_string_to_metric_families as prometheus

from tests.random_models import write_random_model
from tests.serving import RunningServer, user

SHELF = ("models/a.bin", "models/b.bin", "models/c.bin")
TEXTS = dict(zip(SHELF, ("A", "B", "C"), strict=True))
"""The only letter that each model writes."""
FIRST_LETTER = 3 + 256 + 2 + 32  # the id of "A": control pieces, bytes, two blanks, and the letters from "!" on


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shelf")
    (folder / "models").mkdir()
    for number, name in enumerate(SHELF):
        logits = {FIRST_LETTER + number: 5.0}
        write_random_model(folder / name, dtype=DType.F16, hidden=256, max_length=8192, logits=logits)
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
    assert [model["id"] for model in listed] == ["a", "models/b.bin", "models/c.bin"]
    tags = httpx.get(f"{server.url}/api/tags").json()["models"]
    assert [model["name"] for model in tags] == ["a:latest", "models/b.bin:latest", "models/c.bin:latest"]
    answer = server.post("/api/generate", json={"model": "models/b.bin:latest", "prompt": "x", "stream": False}).json()
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
    assert any(model["id"] == "models/broken.gguf" for model in httpx.get(f"{server.url}/v1/models").json()["data"])
    answer = server.post(json={"model": "models/broken.gguf", "messages": user("hi")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "model_file_error")
    broken.unlink()
    assert ask(server, "a") == "a: AAA"
    assert "Traceback" not in server.output


def test_a_model_in_mid_answer_stays(folder: Path) -> None:
    home = {"HOME": str(folder), "HF_HOME": str(folder)}
    options = ("--models-max", "1", "--keep-alive-s", "0.01", "--kv-disk-mb", "0", "--speculation", "off")
    with (
        RunningServer("--model", "models/a.bin", *options, env=home, cwd=folder) as server,
        ThreadPoolExecutor() as pool,
    ):
        ended: dict[str, float] = {}

        def stream(model: str, count: int) -> bytes:
            received = server.stream({"model": model, "prompt": "the", "max_tokens": count}, "/v1/completions")
            ended[model] = time.monotonic()
            return received

        long = pool.submit(stream, "a", 500)
        server.wait_for_queue(running=1)
        other = pool.submit(stream, "models/b.bin", 3)
        server.wait_for_queue(waiting=1)
        assert in_memory(server) == ["a"]
        assert b": keep-alive" in other.result(60)
        assert long.result(60).count(b"A") == 500
        assert ended["a"] < ended["models/b.bin"]
        assert in_memory(server) == ["models/b.bin"]
