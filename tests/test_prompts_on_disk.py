"""Prompts on disk as a user meets them: a server that is started again, its log, and ``chatglm-server cache``."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from chatglm_server.cli.main import main
from chatglm_server.loader import load_engine
from chatglm_server.queueing.status import DiskStatus
from chatglm_server.settings import Settings
from tests.serving import RunningServer

STORY = "The harbour was quiet that morning, and the boats lay in two rows. " * 30


def ask(server: RunningServer) -> tuple[str, int, int]:
    """The answer, how many tokens of the prompt were cached, and how many the slot then holds."""
    messages = [{"role": "system", "content": STORY}, {"role": "user", "content": "Who are you?"}]
    answer = server.post(json={"messages": messages, "temperature": 0, "max_tokens": 20}).json()
    usage = answer["usage"]
    held = usage["total_tokens"] - 1  # the last one was not read
    return answer["choices"][0]["message"]["content"], usage["prompt_tokens_details"]["cached_tokens"], held


def figures(server: RunningServer) -> dict[str, float]:
    text = httpx.get(f"{server.url}/metrics").text
    return {sample.name: sample.value for family in text_string_to_metric_families(text) for sample in family.samples}


def wait_for_files(folder: Path, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(found := list(folder.rglob("*.kv"))) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_server_that_is_started_again_knows_long_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with RunningServer("--kv-disk-after-s", "0") as server:
        text, cached, held = ask(server)
        assert cached == 0
        blocks = held // 128
        assert blocks >= 3
        wait_for_files(tmp_path, blocks)
        disk: Any = server.health()["kv_disk"]
        assert (disk["read"], disk["written"], disk["most_bytes"]) == (0, blocks * 128, 8192 << 20)
    held = sum(path.stat().st_size for path in tmp_path.rglob("*.*") if path.suffix in {".kv", ".note"})
    with RunningServer("--kv-disk-after-s", "0") as server:
        assert server.wait_for_line("kv: ").endswith(f"{blocks} blocks of prefixes on disk, 0.00 GB")
        disk = server.health()["kv_disk"]
        assert disk["bytes"] == figures(server)["chatglm_kv_disk_bytes"] == held
        again, cached, _ = ask(server)
        assert again == text
        assert cached in {blocks * 128, (blocks - 1) * 128}  # the last one may hold tokens of the answer
        server.wait_for_line(f"kv: {cached} tokens from disk in ")
        disk = server.health()["kv_disk"]
        assert (disk["read"], disk["written"]) == (cached, 0)
        assert figures(server)["chatglm_kv_disk_tokens_read_total"] == cached

    assert main(["cache"]) == 0
    head, row, _, total = capsys.readouterr().out.splitlines()
    assert head.split() == ["MODEL", "TOKENS", "SIZE", "USED", "LAST", "BLOCK"]
    assert row.split()[:2] == ["demo", str(blocks * 128)]
    assert total.endswith(" in all; chatglm-server cache clear deletes them")
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out.startswith("deleted, ")
    assert list(tmp_path.rglob("*.kv")) == []
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.startswith("No prompts in ")
    assert main(["cache", "away"]) == 2


def test_a_disk_that_takes_no_more_stops_no_answer(tmp_path: Path) -> None:
    """A file may not be as long as a block is, as with a quota: writing it fails in the middle."""
    env = {"XDG_CACHE_HOME": str(tmp_path)}
    with RunningServer("--kv-disk-after-s", "0", env=env) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))
        text, _, held = ask(server)
        assert server.wait_for_line("kv: prefixes are not written to ").endswith(" for now: File too large")
        assert ask(server) == (text, held - 20, held)
        assert server.health()["status"] == "ok"
        assert server.output.count("kv: ") == 1
    assert [path.name for path in tmp_path.rglob("*.*")] == ["model.txt"]


def test_it_can_be_turned_off() -> None:
    async def traffic(limit: int) -> DiskStatus | None:
        engine = load_engine(Settings(kv_disk_mb=limit))
        await engine.load()
        return (await engine.status()).kv_disk

    assert asyncio.run(traffic(0)) is None
    assert asyncio.run(traffic(1)) == {"read": 0, "written": 0, "bytes": 0, "most_bytes": 1 << 20}
