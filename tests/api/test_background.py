"""A request for which nobody waits makes way for others, by OpenAI's field or vLLM's."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.test_progress import LONG, slow_server


@pytest.mark.parametrize("asked", [{"service_tier": "flex"}, {"priority": 1}, {"service_tier": "auto", "priority": 0}])
def test_others_come_first(asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    with slow_server(tmp_path, monkeypatch) as url:
        path = f"{url}/v1/chat/completions"

        def other() -> None:
            assert httpx.post(path, json=LONG | {"stream": False, "max_tokens": 20}, timeout=60).status_code == 200
            order.append("other")

        thread = threading.Thread(target=other)
        body = LONG | asked | {"return_progress": True, "max_tokens": 10}
        with httpx.stream("POST", path, json=body, timeout=60) as response:
            lines = (line for line in response.iter_lines() if line.startswith("data: {"))
            next(line for line in lines if "prompt_progress" in line)
            thread.start()
            texts = [json.loads(line[6:])["choices"][0] for line in lines]
            assert texts[-1]["finish_reason"] == "length"
            order.append("first")
        thread.join(60)
    assert order == (["first", "other"] if asked.get("priority") == 0 else ["other", "first"])
