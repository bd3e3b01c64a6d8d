"""In front of llama-cpp-python's own server, which runs a model that says a GLM-4 tool call and knows no tools."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import BadRequestError, OpenAI

from tests.conftest import WEATHER
from tests.serving import RunningServer, user
from tests.speaking_gguf import write_speaking_gguf

MODEL = "glm-4-9b-chat"
PIECES = ["I ", "look.", "\nget_", "weather", '\n{"city"', ': "Pa', 'ris"}']


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the server of llama-cpp-python."""
    folder = tmp_path_factory.mktemp("llama")
    path = write_speaking_gguf(folder / "speaking.gguf", PIECES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--model", str(path), "--model_alias", MODEL, "--chat_format", "chatml", "--n_ctx", "2048"]
    command = [sys.executable, "-m", "llama_cpp.server", *options, "--n_threads", "1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(process, f"http://127.0.0.1:{port}/v1/models", folder / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait(30)


def wait_for(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"no server:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module", params=["native", "text"])
def client(request: pytest.FixtureRequest, backend: str) -> Iterator[OpenAI]:
    with RunningServer("--model", backend, "--upstream-tools", request.param) as front:
        yield OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0)


def test_its_text_becomes_a_call(client: OpenAI) -> None:
    body: Any = {"model": MODEL, "messages": user("Weather in Paris?"), "tools": [WEATHER], "max_tokens": 64}
    whole = client.chat.completions.create(**body)
    with client.chat.completions.stream(**body) as stream:
        completion = stream.get_final_completion()
    for choice in (whole.choices[0], completion.choices[0]):
        assert choice.message.content == "I look."
        (call,) = choice.message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
        assert choice.finish_reason == "tool_calls"


def test_without_tools_it_is_text(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=user("Hello!"), max_tokens=64)  # type: ignore[arg-type]
    assert answer.choices[0].message.content == "".join(PIECES)
    limits: list[dict[str, Any]] = [{"max_tokens": 2}, {"max_completion_tokens": 2}]
    for limit in limits:  # this server does not know the second one
        cut = client.chat.completions.create(model=MODEL, messages=user("Hello!"), **limit)  # type: ignore[arg-type]
        assert (cut.choices[0].message.content, cut.choices[0].finish_reason) == ("I look.", "length")


def test_completions_and_models(client: OpenAI) -> None:
    answer = client.completions.create(model=MODEL, prompt="Hello", max_tokens=64)
    assert answer.choices[0].text == "".join(PIECES)
    parts = client.completions.create(model=MODEL, prompt="Hello", max_tokens=64, stream=True)
    assert "".join(part.choices[0].text for part in parts) == "".join(PIECES)
    assert [model.id for model in client.models.list()] == [MODEL]


def test_its_errors_come_back(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model=MODEL, messages=user("x" * 5000), max_tokens=64)  # type: ignore[arg-type]
    assert "2048" in caught.value.message
    assert caught.value.code == "context_length_exceeded"
    body = {"model": MODEL, "messages": user("x" * 5000), "max_tokens": 64}
    message = httpx.post(f"{client.base_url}messages", json=body, timeout=60).json()["error"]["message"]
    assert re.fullmatch(r"prompt is too long: \d{4} tokens > 2048 maximum", message)
