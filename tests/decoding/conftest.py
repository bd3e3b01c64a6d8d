"""Tests of the two processes that pytest starts take turns with chatglm_cpp."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _alone_with_chatglm_cpp(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Its threads spin while they wait for each other. Those of two processes on two CPUs keep each other from
    computing: a pass takes seconds.
    """
    if "chatglm_cpp" not in request.node.nodeid.replace("-", "_"):
        yield
        return
    common = tmp_path_factory.getbasetemp().parent  # of all processes
    with (common / "chatglm_cpp").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield
