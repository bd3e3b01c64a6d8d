"""The page with the server's state, in Chromium: plots of real answers, totals, and what to do where there are none."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from selenium.webdriver import Chrome

from chatglm_server.decoding.backends import BACKENDS
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.serving import RunningServer
from tests.serving_here import serving
from tests.web.browser import ChatPage
from tests.web.test_looks import axe, faults

__all__ = ["axe"]

PLOTS = ["writing", "reading", "queue", "cache", "prompts"]


class StatusPage(ChatPage):
    """``/status`` as a person sees it."""

    def open(self) -> None:
        self.browser.get(f"{self.url}/status")
        self.wait(lambda: "is ready" in self.text("#summary") or "已就绪" in self.text("#summary"))

    def values(self, plot: str) -> str:
        """The words below a plot's title. A screen reader hears the same."""
        heard: str = self.script(
            "const text = [...document.querySelectorAll(`#${given[0]} figcaption span`)].map((one) => one.textContent);"
            "const heard = document.querySelector(`#${given[0]} svg`)?.getAttribute('aria-label') ?? '';"
            "return text.every((one) => heard.includes(one)) ? text.join(' ') : ''",
            plot,
        )
        return heard

    def totals(self) -> dict[str, str]:
        """What stands below "Since the start", read at once: it may be written anew at any time."""
        rows = self.script(
            "const rows = [...document.querySelectorAll('#totals div')];"
            "return rows.map((row) => [...row.children].map((one) => one.textContent))"
        )
        return dict(rows)


@contextmanager
def chinese(page: ChatPage) -> Iterator[None]:
    agent = page.browser.execute_script("return navigator.userAgent")
    page.emulate("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="zh-CN,zh")
    try:
        yield
    finally:
        page.emulate("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="en")


def replay(folder: Path, **more: Any) -> Settings:
    path = folder / "recorded.jsonl"
    path.write_text('{"format": "glm4", "raw": "\\nHello.<|user|>"}\n', encoding="utf-8")
    return Settings(_env_file=None, model=f"replay:{path}", **more)


def test_plots_and_totals_show_what_the_server_does(browser: Chrome, server: RunningServer) -> None:
    page = StatusPage(browser, server.url)
    page.open()
    over = threading.Event()

    def keep_busy() -> None:
        while not over.is_set():
            server.post("/v1/completions", json={"prompt": "Hello", "max_tokens": 200, "temperature": 1})

    threads = [threading.Thread(target=keep_busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        page.wait(
            lambda: (
                re.fullmatch(r"\d[\d,]*\.\d a second now", page.values("writing"))
                and "0.0" not in page.values("writing")
            )
        )
        page.wait(lambda: re.match("running: [1-9] waiting: ", page.values("queue")))
    finally:
        over.set()
        for thread in threads:
            thread.join()

    def heights() -> list[float]:
        path = page.script("return document.querySelector('#writing .line').getAttribute('d')")
        return [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]

    page.wait(lambda: len(set(heights())) > 1)  # it is idle again
    assert max(heights()) <= 144  # the axis
    samples = {
        sample.name: sample.value
        for family in text_string_to_metric_families(httpx.get(f"{server.url}/metrics").text)
        for sample in family.samples
    }
    page.wait(lambda: page.totals().get("Answer tokens") == f"{samples['chatglm_generated_tokens_total']:,.0f}")
    held = f"{samples['chatglm_kv_cache_tokens']:,.0f} of {samples['chatglm_kv_cache_tokens_max']:,.0f} tokens"
    assert page.values("cache").startswith(held)
    assert [figure.accessible_name for figure in page.all("figure")] == [page.text(f"#{name} h2") for name in PLOTS]
    for name, unit in zip(PLOTS, ["tokens/s", "tokens/s", "requests", "tokens", "percent read"], strict=True):
        assert unit in page.script("return document.querySelector(`#${given[0]} svg`).textContent", name), name


def test_a_prompt_that_is_read_has_a_bar(browser: Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "slow", "tests.api.test_progress:SlowBackend")
    model = str(write_random_model(tmp_path / "model.bin", max_length=4096))
    with serving(Settings(_env_file=None, model=model, engine="slow", speculation="off")) as (url, _):
        page = StatusPage(browser, url)
        page.open()
        asked = {"prompt": "word " * 400, "max_tokens": 1}
        thread = threading.Thread(
            target=lambda: httpx.post(f"{url}/v1/completions", json=asked, timeout=60).raise_for_status()
        )
        thread.start()
        words = page.wait(lambda: text if " s left" in (text := page.values("prompts")) else "")
        thread.join()
    percent = re.fullmatch(r"[\d,]+ of [\d,]+ tokens \((\d+)%\), 0 from the cache, about \d+ s left", words)
    assert percent and 0 < int(percent[1]) < 100
    page.wait(lambda: "Check that it is still running" in page.text("#notice"))


def test_totals_that_are_not_there_say_what_to_do(browser: Chrome, tmp_path: Path) -> None:
    with serving(replay(tmp_path, metrics=False)) as (url, _):
        page = StatusPage(browser, url)
        page.open()
        page.wait(lambda: "Start it without that option" in page.text("#totals-notice"))
        assert "no KV cache of its own" in page.text("#cache")
    with serving(replay(tmp_path, api_key="k")) as (url, _):
        page = StatusPage(browser, url)
        page.open()
        page.wait(lambda: "API key" in page.text("#totals-notice"))
        page.click("Enter the key")
        page.one("#key").send_keys("wrong\n")
        page.wait(lambda: "did not accept this key" in page.text("#key-dialog"))
        page.one("#key").send_keys("k\n")
        page.wait(lambda: page.totals().get("Requests answered") == "0")
        assert not page.one("#totals-notice").is_displayed()


def test_servers_behind_this_one(browser: Chrome, tmp_path: Path) -> None:
    with (
        serving(replay(tmp_path)) as (behind, _),
        serving(Settings(_env_file=None, model=f"{behind}/v1,http://127.0.0.1:9/v1")) as (url, _),
    ):
        page = StatusPage(browser, url)
        page.open()
        page.wait(lambda: f"{behind}/v1: 0 running, 0 since the start" in page.text("#upstreams"))
        page.wait(lambda: "http://127.0.0.1:9/v1: left out until it answers again" in page.text("#upstreams"))
        assert not page.one("#notice").is_displayed()


def test_for_everyone(browser: Chrome, server: RunningServer, axe: str) -> None:
    page = StatusPage(browser, server.url)
    with chinese(page):
        page.open()
        page.wait(lambda: page.totals())
        assert page.one("html").get_attribute("lang") == "zh-CN"
        assert page.text("#writing h2") == "生成的 token"
    page.open()
    page.wait(lambda: page.all("#writing svg"))
    page.emulate("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    try:
        for scheme in ("light", "dark"):
            page.emulate("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert faults(page, axe) == [], scheme
        assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    finally:
        page.emulate("Emulation.clearDeviceMetricsOverride")
        page.emulate("Emulation.setEmulatedMedia", features=[])
    tables = page.script(
        "const {EN} = await import('/web/js/status/words_en.js'), {ZH} = await import('/web/js/status/words_zh.js');"
        "const values = (text) => text.match(/{\\w+}/g)?.sort() ?? [];"
        "return [EN, ZH].map((table) => Object.entries(table).map(([key, text]) => [key, values(text)]))"
    )
    assert dict(tables[0]) == dict(tables[1])
