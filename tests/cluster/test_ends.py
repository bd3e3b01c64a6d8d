"""Answers that end: by the client, by a kill of a replica or of the front, and by a replacement that works or fails."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.cluster.running_cluster import RunningCluster
from tests.serving import user

TOKENS, LONG, CLIENTS = 600, 30_000, 3
STREAMS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": user("Go."), "max_tokens": TOKENS}),
    "completions": ("/v1/completions", {"prompt": "the", "max_tokens": TOKENS}),
    "messages": ("/v1/messages", {"messages": user("Go."), "max_tokens": TOKENS}),
    "responses": ("/v1/responses", {"input": "Go.", "max_output_tokens": TOKENS}),
    "ollama": ("/api/chat", {"messages": user("Go."), "options": {"num_predict": TOKENS}}),
}
"""A streamed request of each dialect, for an answer that takes seconds."""


def stream_of(cluster: RunningCluster, name: str, **further: object) -> tuple[int, list[str]]:
    """The status and the lines of a streamed answer."""
    path, body = STREAMS[name]
    with httpx.stream("POST", cluster.url + path, json={**body, "stream": True, **further}, timeout=300) as response:
        return response.status_code, [line for line in response.iter_lines() if line]


def whole_answer(cluster: RunningCluster, number: int) -> httpx.Response:
    """The response to a request without a stream."""
    body = {"messages": user(f"Go {number}."), "max_tokens": TOKENS}
    return httpx.post(f"{cluster.url}/v1/chat/completions", json=body, timeout=300)


def is_whole(name: str, lines: list[str]) -> bool:
    """True if a stream ends as its dialect says."""
    if name == "ollama":
        return bool(json.loads(lines[-1]).get("done"))
    return lines[-1] == ('data: {"type":"message_stop"}' if name == "messages" else "data: [DONE]")


def error_of(name: str, lines: list[str]) -> str:
    """The message of the error at the end of a stream, in its dialect."""
    value = json.loads(lines[-1].removeprefix("data: "))
    if name == "ollama":
        return str(value["error"])
    if name == "responses":
        assert value["type"] == "response.failed"
        return str(value["response"]["error"]["message"])
    assert name != "messages" or (lines[-2], value["type"]) == ("event: error", "error")
    return str(value["error"]["message"])


def test_a_client_that_leaves_stops_its_sequence(endless_cluster: RunningCluster) -> None:
    body = {"messages": user("Go."), "max_tokens": LONG, "stream": True}
    with httpx.stream("POST", f"{endless_cluster.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        endless_cluster.wait_for_health(running=1, timeout=30)
    endless_cluster.wait_for_health(running=0, waiting=0, timeout=30)
    assert endless_cluster.health()["tokens"]["generated"] < LONG


def test_a_replica_is_killed_in_mid_load(endless_cluster: RunningCluster) -> None:
    """Each answer is whole or ends with its dialect's error; what has not begun is answered by the other replica."""
    names = list(STREAMS) * 3
    killed = min(endless_cluster.replicas())
    with ThreadPoolExecutor(2 * len(names)) as pool:
        streams = [pool.submit(stream_of, endless_cluster, name) for name in names]
        unstreamed = [pool.submit(whole_answer, endless_cluster, number) for number in range(5)]
        endless_cluster.wait_for_health(running=8, timeout=60)
        os.kill(killed, signal.SIGKILL)
        outcomes = [stream.result(timeout=300) for stream in streams]
    broken = set()
    for name, (status, lines) in zip(names, outcomes, strict=True):
        assert status == 200, lines
        if not is_whole(name, lines):
            assert "the replica that wrote this answer has ended" in error_of(name, lines)
            broken.add(name)
    assert broken
    for response in (answer.result() for answer in unstreamed):
        assert response.status_code in (200, 503)
        if response.status_code == 503:
            assert response.json()["error"]["code"] == "replica_lost"
            assert int(response.headers["retry-after"]) > 0
    for name in STREAMS:
        status, lines = stream_of(endless_cluster, name)
        assert status == 200
        assert is_whole(name, lines)
    endless_cluster.wait_until_ready()
    assert killed not in endless_cluster.replicas()


def test_all_replicas_are_killed(endless_cluster: RunningCluster) -> None:
    """Until others are there the front is not ready, and says so."""
    killed = endless_cluster.replicas()
    for replica in killed:
        os.kill(replica, signal.SIGKILL)
    statuses: list[int] = []
    deadline = time.monotonic() + 300
    while 503 not in statuses or statuses[-1] == 503:
        assert time.monotonic() < deadline
        statuses.append(httpx.get(f"{endless_cluster.url}/health", timeout=30).status_code)
        assert statuses[-1] in (200, 503)
        time.sleep(0.05)
    endless_cluster.wait_until_ready()
    assert not killed & endless_cluster.replicas()


def test_the_front_is_killed(endless_cluster: RunningCluster) -> None:
    """Its streams break off, and their sequences end. The next request waits for the front that Ray starts."""
    (killed,) = endless_cluster.fronts()
    with ThreadPoolExecutor() as pool:
        streams = [pool.submit(stream_of, endless_cluster, "chat", max_tokens=LONG) for _ in range(2)]
        endless_cluster.wait_for_health(running=2, timeout=30)
        os.kill(killed, signal.SIGKILL)
        for stream in streams:
            with pytest.raises(httpx.RemoteProtocolError):
                stream.result(timeout=60)
    assert whole_answer(endless_cluster, 0).status_code == 200
    assert killed not in endless_cluster.fronts()
    endless_cluster.wait_for_health(running=0, waiting=0, timeout=30)
    assert endless_cluster.health()["tokens"]["generated"] < LONG


def test_a_rolling_restart_breaks_no_stream(endless_cluster: RunningCluster) -> None:
    """Streams run all the time while other replicas take the place of those that were there."""
    before = endless_cluster.replicas()
    replaced = threading.Event()

    def ask_again_and_again(client: int) -> list[tuple[int, list[str]]]:
        streams: list[tuple[int, list[str]]] = []
        while not replaced.is_set():
            question = user(f"Go {len(streams)}, {client}.")  # a new conversation each: both replicas are busy
            usage = {"include_usage": True}
            streams.append(stream_of(endless_cluster, "chat", messages=question, stream_options=usage))
        return streams

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask_again_and_again, client) for client in range(CLIENTS)]
        try:
            endless_cluster.redeploy(alias="after")
            endless_cluster.wait_for_replicas(other_than=before)
        finally:
            replaced.set()
        streams = [stream for client in clients for stream in client.result()]
    for status, lines in streams:
        assert status == 200, lines
        assert lines[-1] == "data: [DONE]"
        assert json.loads(lines[-2].removeprefix("data: "))["usage"]["completion_tokens"] == TOKENS
    endless_cluster.wait_until_ready()
    assert "after" in httpx.get(f"{endless_cluster.url}/v1/models").text


def test_a_deployment_that_fails(endless_cluster: RunningCluster) -> None:
    """The old front stays. Without a replica it refuses requests at once, in the words of each API, in a line each."""
    first = len(endless_cluster.lines)
    endless_cluster.redeploy(model="/missing.gguf", replicas=1)
    endless_cluster.wait_for_line("['Replica'] are UNHEALTHY", since=first)
    for name in STREAMS:
        for streamed in (True, False):
            path, body = STREAMS[name]
            response = httpx.post(endless_cluster.url + path, json={**body, "stream": streamed}, timeout=120)
            assert response.status_code == 503, response.text
            assert int(response.headers["retry-after"]) > 0
            assert "no replica" in error_of(name, [response.text])
    health = httpx.get(f"{endless_cluster.url}/health", timeout=60)
    assert (health.status_code, health.json()["status"]) == (503, "loading")
    said = [line for line in endless_cluster.lines[first:] if ":Front " in line]
    assert len([line for line in said if " 503 " in line and "error=model_loading" in line]) == 2 * len(STREAMS)
    assert not any("Traceback" in line or "internal error" in line for line in said)
    endless_cluster.redeploy()
    endless_cluster.wait_until_ready()
    assert whole_answer(endless_cluster, 0).status_code == 200
