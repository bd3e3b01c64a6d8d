"""Fixtures: a backend that plays bytes, and servers in front of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chatglm_bin_writer import DType

from tests.random_models import write_random_model
from tests.raw_backend import RawBackend
from tests.serving import RunningServer
from tests.upstream import SECRET


@pytest.fixture(scope="module")
def backend() -> Iterator[RawBackend]:
    with RawBackend() as running:
        yield running


@pytest.fixture(scope="session")
def slow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A model with random weights that is busy for many seconds if it is asked for thousands of tokens."""
    path = tmp_path_factory.mktemp("model") / "slow.bin"
    write_random_model(path, dtype=DType.F16, hidden=512, layers=3, max_length=32768)
    with RunningServer("--model", str(path)) as running:
        yield running


@pytest.fixture(scope="module")
def front(backend: RawBackend) -> Iterator[RunningServer]:
    options = ("--model", backend.address, "--upstream-timeout-s", "2")
    with RunningServer(*options, env={"OPENAI_API_KEY": SECRET}) as running:
        yield running


@pytest.fixture(scope="module")
def text_front(backend: RawBackend) -> Iterator[RunningServer]:
    options = ("--model", backend.address, "--upstream-tools", "text")
    with RunningServer(*options, env={"ENABLE_THINK_FILTER": "true"}) as running:
        yield running
