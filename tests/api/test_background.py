"""A request for which nobody waits makes way for others, by OpenAI's field or vLLM's."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_progress import LONG, slow_server


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("chat/completions", {"service_tier": "flex"}),
        ("chat/completions", {"priority": 1}),
        ("responses", {"service_tier": "flex"}),
        ("responses", {"service_tier": "auto"}),
    ],
)
def test_others_come_first(path: str, asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    with slow_server(tmp_path, monkeypatch) as url:

        def other() -> None:
            body = LONG | {"stream": False, "max_tokens": 20}
            assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60).status_code == 200
            order.append("other")

        thread = threading.Thread(target=other)
        body = LONG | asked | {"input": LONG["messages"], "max_tokens": 10, "max_output_tokens": 10}
        with httpx.stream("POST", f"{url}/v1/{path}", json=body, timeout=60) as response:
            assert response.status_code == 200, response.read()
            while not httpx.get(f"{url}/health").json().get("reading"):
                pass
            thread.start()
            told = '"service_tier":"flex"' in response.read().decode().replace(" ", "")
            assert told == (path == "responses" and "flex" in asked.values())
            order.append("first")
        thread.join(60)
    assert order == (["first", "other"] if "auto" in asked.values() else ["other", "first"])
