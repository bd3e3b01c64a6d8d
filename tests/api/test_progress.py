"""While a long prompt is read, the stream, ``/health`` and the log say how far."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatglm_server.api.http import access_log
from chatglm_server.decoding.backends import BACKENDS, BackendOptions
from chatglm_server.decoding.model import ScheduledSequence
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.model_files.model_file import ModelFile
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.serving_here import serving
from tests.token_level import model_runner
from tests.toy_backend import ToyBackend, ToyModel

LONG: dict[str, Any] = {"messages": [{"role": "user", "content": "word " * 20}], "max_tokens": 2, "stream": True}


class Slow(ToyModel):
    """Takes its time for each pass of 16 tokens."""

    def forward(self, batch: Sequence[ScheduledSequence]) -> Any:
        time.sleep(0.05)
        return super().forward(batch)


class SlowBackend(ToyBackend):
    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ModelRunner:
        return model_runner(Slow(file.spec.vocab_size, [5], options.parallel))


@contextmanager
def slow_server(folder: Path, monkeypatch: pytest.MonkeyPatch, max_wait_s: float = 0) -> Iterator[str]:
    monkeypatch.setitem(BACKENDS, "slow", f"{__name__}:SlowBackend")
    path = write_random_model(folder / "model.bin")
    settings = Settings(
        _env_file=None,
        model=str(path),
        engine="slow",
        speculation="off",
        keep_alive_s=0.02,
        max_wait_s=max_wait_s,
    )
    with serving(settings) as (url, _):
        yield url


def test_a_stream_says_how_far_the_prompt_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_server(tmp_path, monkeypatch) as url:
        body = LONG | {"return_progress": True, "stream_options": {"include_usage": True}}
        for _ in range(2):  # the second request finds the prompt in the cache, and has nothing to tell
            response = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=60)
            assert response.status_code == 200, response.text
            chunks = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
            told = [chunk["prompt_progress"] for chunk in chunks if "prompt_progress" in chunk]
            usage = chunks[-1]["usage"]
            length, cached = usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"]
            assert [one["processed"] for one in told] == list(range(cached + 16, length, 16))
            assert all((one["total"], one["cache"]) == (length, cached) for one in told)
            assert [one["time_ms"] for one in told] == sorted(one["time_ms"] for one in told)
            first_text = next(
                place for place, chunk in enumerate(chunks) if chunk["choices"][0]["delta"].get("content")
            )
            assert all("prompt_progress" not in chunk for chunk in chunks[first_text:])
        assert not told
        assert cached == length - 1


def test_comments_and_health_and_the_log_say_it_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(access_log, "_NEWS_S", 0.1)
    caplog.set_level(logging.INFO, "chatglm_server.access")
    with (
        slow_server(tmp_path, monkeypatch) as url,
        httpx.stream("POST", f"{url}/v1/chat/completions", json=LONG, timeout=60) as response,
    ):
        lines = iter(response.iter_lines())
        comment = next(line for line in lines if line.startswith(": reading a prompt: "))
        (state,) = httpx.get(f"{url}/health").json()["reading"]
        assert f" of {state['tokens']} tokens, about " in comment
        assert 0 < state["read"] < state["tokens"]
        assert state["cached"] == 0
        assert "prompt_progress" not in "".join(lines)
        assert "reading" not in httpx.get(f"{url}/health").json()
    assert any(record.getMessage().startswith("reading a prompt: ") for record in caplog.records)
    assert "word" not in caplog.text
