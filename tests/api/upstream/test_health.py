"""``/health`` in front of another server: whether that is there."""

from __future__ import annotations

import time

import pytest

from chatglm_server.engine.upstream.probe import CACHE_S, PROBE_S
from tests.raw_backend import MODELS, UNTIL_THE_CLIENT_LEAVES, RawBackend, whole
from tests.serving import RunningServer
from tests.upstream import SECRET


def fresh_health(front: RunningServer) -> dict[str, object]:
    """The state of the backend as it is now."""
    time.sleep(CACHE_S)
    return front.health()


def test_a_backend_that_comes_and_goes() -> None:
    with RawBackend() as first:
        port = first.port
    with RunningServer("--model", f"http://127.0.0.1:{port}") as front:
        health = front.health()
        assert health["status"] == "degraded"
        assert f"the backend at http://127.0.0.1:{port}/v1 cannot be reached" in str(health["problem"])
        with RawBackend(port):
            health = fresh_health(front)
            assert (health["status"], "problem" in health) == ("ok", False)
        assert fresh_health(front)["status"] == "degraded"


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        ("401 Unauthorized", "answered 401: wrong key ***"),
        ("503 Service Unavailable", "answered 503: wrong key ***"),
        ("404 Not Found", None),
        ("429 Too Many Requests", None),
    ],
)
def test_a_backend_that_refuses(front: RunningServer, backend: RawBackend, status: str, problem: str | None) -> None:
    """A server without a list of models may answer all the same."""
    backend.models = whole({"error": {"message": f"wrong key {SECRET}"}}, status)
    try:
        health = fresh_health(front)
    finally:
        backend.models = whole(MODELS)
    assert health["status"] == ("degraded" if problem else "ok")
    assert (problem or "") in str(health.get("problem"))
    assert SECRET not in str(health)


def test_a_silent_backend_holds_nobody_up(front: RunningServer, backend: RawBackend) -> None:
    time.sleep(CACHE_S)
    backend.models = [UNTIL_THE_CLIENT_LEAVES]
    try:
        started = time.monotonic()
        health = front.health()
        waited = time.monotonic() - started
    finally:
        backend.models = whole(MODELS)
    assert "did not answer within 1 s" in str(health["problem"])
    assert waited < PROBE_S + 5


def test_the_backend_hears_little_of_it(front: RunningServer, backend: RawBackend) -> None:
    fresh_health(front)
    before, started = backend.lists, time.monotonic()
    for _ in range(20):
        front.health()
    assert backend.lists - before <= 1 + (time.monotonic() - started) / CACHE_S
