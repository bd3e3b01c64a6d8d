"""A request that would wait longer than it is willing to gets a 429 at once, in each dialect's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_progress import LONG, slow_server

OTHERS: dict[str, Any] = {"messages": [{"role": "user", "content": "other " * 20}], "max_tokens": 2}
ROUTES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/chat/completions", {}),
    ("/v1/completions", {"prompt": "other " * 20}),
    ("/v1/messages", {"model": "any"}),
    ("/v1/responses", {"input": "other " * 20, "max_output_tokens": 2}),
    ("/api/chat", {"options": {"num_predict": 2}, "stream": False}),
    ("/chat", {}),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch, slow_server(tmp_path_factory.mktemp("model"), patch) as url:
        yield url


def test_nothing_is_refused_before_anything_is_measured(url: str) -> None:
    assert "estimated_wait_s" not in httpx.get(f"{url}/health").json()
    response = httpx.post(
        f"{url}/v1/chat/completions", json=LONG | {"stream": False}, headers={"X-Max-Wait-Seconds": "0.001"}
    )
    assert response.status_code == 200
    assert httpx.get(f"{url}/health").json()["estimated_wait_s"] >= 0
    assert "chatglm_estimated_wait_seconds{" in httpx.get(f"{url}/metrics").text


@pytest.mark.parametrize(("path", "fields"), ROUTES, ids=[path for path, _ in ROUTES])
def test_each_dialect(url: str, path: str, fields: dict[str, Any]) -> None:
    """The server writes four answers for five seconds, and has no place for a fifth."""
    busy = OTHERS | {"stream": True, "max_tokens": 100}
    body = OTHERS | fields
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=busy | {"n": 4}, timeout=60) as response:
        lines = response.iter_lines()
        next(line for line in lines if '"content":"' in line)  # it writes
        refused = httpx.post(f"{url}{path}", json=body, headers={"X-Max-Wait-Seconds": "2"})
        assert refused.status_code == 429, refused.text
        assert int(refused.headers["retry-after"]) >= 1
        assert f"try again in {refused.headers['retry-after']} s" in refused.text
        kind = refused.json()["error"]
        assert isinstance(kind, str) == path.startswith("/api")
        if isinstance(kind, dict):
            assert kind["type"] == "rate_limit_error"
    accepted = httpx.post(f"{url}{path}", json=body, headers={"X-Max-Wait-Seconds": "100"}, timeout=60)
    assert accepted.status_code == 200, accepted.text


@pytest.mark.parametrize("value", ["0", "-1", "soon", "inf", "nan", "1e3", "", "9" * 400])
def test_a_header_that_is_no_number_above_zero(url: str, value: str) -> None:
    response = httpx.post(f"{url}/v1/chat/completions", json=OTHERS, headers={"X-Max-Wait-Seconds": value})
    assert response.status_code == 400
    assert "X-Max-Wait-Seconds" in response.json()["error"]["message"]


def test_a_prompt_that_takes_too_long_by_itself(url: str) -> None:
    """There is no time to try again at."""
    body = OTHERS | {"messages": [{"role": "user", "content": "new " * 40}]}
    response = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"X-Max-Wait-Seconds": "0.01"})
    assert response.status_code == 429
    assert "retry-after" not in response.headers
    assert "prompt alone takes longer" in response.json()["error"]["message"]


def test_the_setting_counts_unless_the_request_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_server(tmp_path, monkeypatch, max_wait_s=0.01) as url:
        path = f"{url}/v1/chat/completions"
        assert httpx.post(path, json=OTHERS).status_code == 200  # nothing is known yet
        body = OTHERS | {"messages": [{"role": "user", "content": "new " * 40}]}
        assert httpx.post(path, json=body).status_code == 429
        assert httpx.post(path, json=body, headers={"X-Max-Wait-Seconds": "100"}, timeout=60).status_code == 200
