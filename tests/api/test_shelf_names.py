"""The models on this machine: which a server offers, what it says of each, and how long one stays in memory."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import pytest
from chatglm_bin_writer import ModelType
from ollama import Client

from tests.conftest import WEATHER
from tests.random_gguf import write_random_gguf
from tests.random_models import write_random_model
from tests.serving import RunningServer, user

FIRST, OLD, THINKER = "first", "models/old.bin", "models/thinker.gguf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without thoughts but with tools, one with neither, one with both, and files that cannot be served."""
    folder = tmp_path_factory.mktemp("names")
    models = folder / "models"
    models.mkdir()
    write_random_model(models / "first.bin")
    write_random_model(models / "old.bin", ModelType.CHATGLM2)
    write_random_gguf(models / "thinker.gguf", name="GLM-Z1-tiny")
    foreign = write_random_gguf(models / "foreign.gguf").read_bytes()
    (models / "foreign.gguf").write_bytes(foreign.replace(b"glm4", b"mamb"))
    (models / "cut.gguf").write_bytes(foreign[:-1])
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningServer]:
    """Without any option about several models."""
    with RunningServer("--model", "models/first.bin", "--kv-disk-mb", "0", "--parallel", "2", cwd=folder) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Client:
    return Client(host=server.url)


def listed(server: RunningServer) -> list[str]:
    return [model["id"] for model in httpx.get(f"{server.url}/v1/models").json()["data"]]


def in_memory(client: Client) -> list[str | None]:
    return [model.name for model in client.ps().models]


def wait_until_in_memory(client: Client, *names: str) -> None:
    deadline = time.monotonic() + 60
    while in_memory(client) != list(names):
        assert time.monotonic() < deadline, in_memory(client)
        time.sleep(0.02)


def test_what_can_be_served_is_listed_with_what_it_can_do(server: RunningServer, client: Client) -> None:
    assert listed(server) == [FIRST, THINKER, OLD]
    assert [model.model for model in client.list().models] == [f"{name}:latest" for name in (FIRST, THINKER, OLD)]
    assert client.show(f"{OLD}:LATEST").capabilities == ["completion"]
    assert client.show("first").capabilities == ["completion", "tools"]
    shown = client.show(THINKER)
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["glm4.context_length"] == 1024
    assert httpx.get(f"{server.url}/v1/models/{OLD}").json()["chat_format"] == "chatglm2"
    assert in_memory(client) == ["first:latest"], "nothing of this loads a model"


def test_what_a_request_may_ask_for_is_up_to_the_model_that_it_names(server: RunningServer, client: Client) -> None:
    few = {"num_predict": 2}
    with pytest.raises(Exception, match="'first' does not support thinking"):
        client.chat("first", user("Hello!"), think=True)
    with pytest.raises(Exception, match=r"'models/old\.bin' does not support tools"):
        client.chat(OLD, user("Hello!"), tools=[WEATHER])
    assert in_memory(client) == ["first:latest"], "a refused request loads no model"
    assert client.chat(THINKER, user("Hello!"), think=True, tools=[WEATHER], options=few).model == THINKER
    assert in_memory(client) == [f"{THINKER}:latest"]
    kept = {"thinking": {"clear_thinking": False, "type": "enabled"}, "messages": user("Hello!"), "max_tokens": 2}
    assert server.post(json=kept | {"model": OLD}).json()["error"]["param"] == "clear_thinking"


def test_a_file_that_cannot_be_served(server: RunningServer) -> None:
    for name, reason in (("models/foreign.gguf", "mamb"), ("models/cut.gguf", "not copied whole")):
        error = server.post(json={"model": name, "messages": user("Hello!")}).json()["error"]
        assert error["code"] == "model_file_error"
        assert name in error["message"]
        assert reason in error["message"]


def test_a_model_that_comes_while_the_server_runs(server: RunningServer, folder: Path) -> None:
    body: dict[str, Any] = {"model": "models/new.bin", "messages": user("Hello!"), "max_tokens": 2}
    missing = server.post(json=body)
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
    shutil.copy(folder / "models" / "old.bin", folder / "models" / "new.bin")
    deadline = time.monotonic() + 60
    while (answer := server.post(json=body)).status_code == 404:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer.json()["model"] == "models/new.bin"
    (folder / "models" / "new.bin").unlink()
    assert "models/new.bin" not in listed(server)


def test_how_long_a_model_stays_in_memory_is_the_clients_to_say(server: RunningServer, client: Client) -> None:
    few = {"num_predict": 2}
    client.generate("first", "Hello!", options=few, keep_alive="1h30m")
    (loaded,) = client.ps().models
    assert loaded.expires_at is not None
    left = loaded.expires_at - datetime.now(timezone.utc)
    assert timedelta(hours=1) < left <= timedelta(hours=1, minutes=30)
    client.generate("first", "Hello!", options=few, keep_alive=-1)
    assert server.post("/api/chat", json={"model": OLD, "keep_alive": "1m"}).json()["done_reason"] == "load"
    assert in_memory(client) == [f"{OLD}:latest"]
    assert client.generate(OLD, keep_alive=0).done_reason == "unload"
    wait_until_in_memory(client)
    assert client.generate("first", "Hello!", options=few, keep_alive="0").done_reason == "length"
    wait_until_in_memory(client)
    assert client.chat("first", user("Hello!"), options=few, keep_alive=0.05).done_reason == "length"
    wait_until_in_memory(client)
    client.generate("first", "Hello!", options=few)
    assert httpx.get(f"{server.url}/api/ps").json()["models"][0]["expires_at"] == "9999-12-31T23:59:59Z"
    for wrong in ("5 minutes", "m", "--1", True, [5]):
        refused = server.post("/api/chat", json={"model": "first", "messages": user("Hello!"), "keep_alive": wrong})
        assert (refused.status_code, "keep_alive" in refused.json()["error"]) == (400, True)


def test_a_server_of_one_model(folder: Path) -> None:
    with RunningServer("--model", "models/first.bin", "--models-max", "0", cwd=folder) as server:
        assert listed(server) == [FIRST]
        missing = server.post(json={"model": OLD, "messages": user("Hello!")})
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
        client = Client(host=server.url)
        assert client.generate("first", keep_alive=0).done_reason == "unload"
        wait_until_in_memory(client)
        assert client.generate("first").done_reason == "load"
        assert in_memory(client) == ["first:latest"]
