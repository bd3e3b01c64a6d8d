"""Figures for Prometheus, read by its own client's parser."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from chatglm_server.api.metrics import Metrics
from chatglm_server.engine.recordings import read_recordings
from chatglm_server.engine.replay import ReplayEngine, load_replay
from chatglm_server.queueing.status import DiskStatus, Status
from chatglm_server.service import Service
from chatglm_server.settings import Settings
from tests.conftest import WEATHER
from tests.recordings import ANSWER, replay_file
from tests.serving import RunningServer, user
from tests.serving_here import serving

ROOT = Path(__file__).parent.parent.parent

Samples = dict[str, float]


def scraped(server: RunningServer, **headers: str) -> Samples:
    """Each figure by its name and status; buckets by their bound."""
    response = httpx.get(f"{server.url}/metrics", headers=headers)
    assert response.status_code == 200
    parse: Any = openmetrics if "openmetrics" in response.headers["content-type"] else prometheus
    samples = [sample for family in parse(response.text) for sample in family.samples]
    assert {sample.labels["model"] for sample in samples} <= {"demo"}
    return {"".join([s.name, s.labels.get("status", ""), s.labels.get("le", "")]): s.value for s in samples}


def test_requests_are_counted() -> None:
    with RunningServer("--alias", "a") as server:
        asked = {"messages": user("What is the weather in Paris?"), "tools": [WEATHER], "model": "a"}
        usages = [server.post(json=asked | {"stream": False}).json()["usage"] for _ in range(2)]
        server.post(json=asked | {"stream": True})
        assert server.post(json=asked | {"temperature": 9}).status_code == 400
        figures = scraped(server)
        read = sum(usage["prompt_tokens"] for usage in usages) + usages[0]["prompt_tokens"]
        written = sum(usage["completion_tokens"] for usage in usages)
        assert figures["chatglm_requests_total200"] == 3
        assert figures["chatglm_requests_total400"] == 1
        assert figures["chatglm_prompt_tokens_total"] == read
        assert figures["chatglm_prompt_tokens_cached_total"] == 2 * (usages[0]["prompt_tokens"] - 1)
        assert figures["chatglm_generated_tokens_total"] > written
        assert figures["chatglm_time_to_first_token_seconds_count"] == 3
        assert figures["chatglm_time_per_output_token_seconds_bucket+Inf"] == 3
        assert figures["chatglm_requests_running"] == figures["chatglm_requests_waiting"] == 0
        assert usages[0]["prompt_tokens"] < figures["chatglm_kv_cache_tokens"] < figures["chatglm_kv_cache_tokens_max"]
        assert scraped(server, Accept="application/openmetrics-text; version=1.0.0").keys() >= figures.keys()
        httpx.get(f"{server.url}/nowhere")
        again = scraped(server)
        assert {name: value for name, value in again.items() if "created" not in name} == {
            name: value for name, value in figures.items() if "created" not in name
        }

        dashboard = (ROOT / "docs" / "grafana.json").read_text(encoding="utf-8")
        shown = set(re.findall(r"chatglm_\w+", dashboard))
        assert shown <= {re.sub(r"(200|400|\+Inf|[\d.]+)$", "", name) for name in figures}
        assert len(shown) > 10


class Replicas(ReplayEngine):
    """Its state is the sum over replicas, of which some may have ended."""

    read = 0

    async def status(self) -> Status:
        disk: DiskStatus = {"read": self.read, "written": self.read, "bytes": 10, "most_bytes": 100}
        return replace(await super().status(), kv_disk=disk)


def test_counts_of_a_replica_that_has_ended_stay(tmp_path: Path) -> None:
    path = replay_file(tmp_path, "glm4", {"raw": ANSWER})
    engine = Replicas(load_replay(path, (), "auto", None, 4).info, read_recordings(path), "glm4", 4)
    metrics = Metrics(Service(engine))

    async def counted(read: int) -> float:
        engine.read = read
        text, _ = await metrics.exposed("")
        samples = [sample for family in prometheus(text.decode()) for sample in family.samples]
        return next(sample.value for sample in samples if sample.name == "chatglm_kv_disk_tokens_read_total")

    assert [asyncio.run(counted(read)) for read in (192, 64, 128)] == [192, 192, 256]


def test_the_figures_need_the_key_and_can_be_left_out(tmp_path: Path) -> None:
    model = f"replay:{replay_file(tmp_path, 'glm4', {'raw': ANSWER})}"
    with serving(Settings(_env_file=None, model=model, api_key="k")) as (url, _):
        assert httpx.get(f"{url}/metrics").status_code == 401
        assert "chatglm_requests" in httpx.get(f"{url}/metrics", headers={"Authorization": "Bearer k"}).text
    with serving(Settings(_env_file=None, model=model, metrics=False)) as (url, _):
        assert httpx.get(f"{url}/metrics").status_code == 404
