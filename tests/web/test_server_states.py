"""The chat page before servers that ask for a key, load, read a long prompt, refuse or are gone."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys

from chatglm_server.decoding.backends import BACKENDS, BackendOptions
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.model_files.model_file import ModelFile
from chatglm_server.settings import Settings
from tests.api.test_progress import SlowBackend
from tests.random_models import write_random_model
from tests.serving import RunningServer
from tests.serving_here import serving
from tests.web.browser import ChatPage, replaying


class SlowToLoad(SlowBackend):
    """Loads for as long as a person needs to ask, and reads slowly."""

    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ModelRunner:
        time.sleep(3)
        return super().load(file, options, stopping)


def test_bars_while_the_model_loads_and_while_it_reads(
    browser: Chrome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, "slow", f"{__name__}:SlowToLoad")
    model = str(write_random_model(tmp_path / "model.bin", max_length=8192))
    settings = Settings(_env_file=None, model=model, engine="slow", speculation="off")
    with serving(settings, waits=False) as (url, _):
        page = ChatPage(browser, url)
        page.open()
        page.wait(lambda: "The model is loading" in page.text("#progress"))
        browser.execute_script("document.querySelector('#question').value = 'word '.repeat(300)")
        page.ask("")
        page.wait(lambda: "The model is reading: " in page.text("#progress"))
        page.wait(lambda: re.search(r" tokens, about \d+ s left$", page.text("#progress")))
        assert float(page.one("#progress progress").get_attribute("value") or 0) > 0
        page.one("#question").send_keys(Keys.ESCAPE)
        page.answered()
        assert not page.one("#progress").is_displayed()


def test_a_key_is_asked_for_and_kept_in_the_tab(browser: Chrome, tmp_path: Path) -> None:
    with replaying(browser, tmp_path, {"raw": "\nHello."}, api_key="the key ü") as page:
        browser.get(page.url)
        page.wait(lambda: page.one("#key-dialog").is_displayed())
        page.one("#key").send_keys("wrong\n")
        page.wait(lambda: "did not accept this key" in page.text("#key-dialog"))
        page.one("#key").send_keys("the key ü\n")
        page.wait(lambda: page.all("#model option"))
        page.ask("Hi")
        assert page.answered() == ["Hi", "Hello."]
        assert "the key" not in str(browser.execute_script("return [document.cookie, {...localStorage}]"))
        page.open()
        assert page.answered() == ["Hi", "Hello."]
        browser.execute_script("sessionStorage.clear()")
        page.ask("Again")
        page.wait(lambda: page.one("#key-dialog").is_displayed())
        page.one("#key").send_keys("the key ü\n")
        page.wait(lambda: not page.one("#key-dialog").is_displayed())
        page.click("Try again")
        page.wait(lambda: page.answered() == ["Hi", "Hello.", "Again", "Hello."])
        browser.execute_script("sessionStorage.clear()")
        browser.get(page.url)
        page.wait(lambda: page.one("#key-dialog").is_displayed())
        page.one("#key").send_keys("the key ü\n")
        page.wait(lambda: len(page.all(".message .block")) == 2)


def test_what_is_refused_says_what_to_do(page: ChatPage) -> None:
    page.browser.execute_script("document.querySelector('#question').value = 'word '.repeat(5000)")
    page.ask("")
    page.answered()
    assert "Start a new one, or edit an earlier message. The server says: the prompt has " in page.text(".problem")
    page.set(schema='{"type": 3}')
    page.click("New conversation", "nav")
    page.ask("Hello!")
    page.answered()
    assert "Change the setting or the message that it names" in page.text(".problem")
    assert "type" in page.text(".problem")
    page.set(temperature="9")
    page.ask("Hello!")
    assert "Temperature: enter a number" in page.text("#notice")
    page.all("#conversations .open")[-1].click()
    assert not page.one("#notice").is_displayed()


def test_a_server_that_is_gone(browser: Chrome, tmp_path: Path) -> None:
    line = {"format": "glm4", "raw": "\n" + "word " * 500 + "<|user|>", "chunk_size": 5, "delay_ms": 20}
    recording = tmp_path / "recorded.jsonl"
    recording.write_text(json.dumps(line), encoding="utf-8")
    with RunningServer("--model", f"replay:{recording}") as server:
        page = ChatPage(browser, server.url)
        page.open()
        page.ask("Write.")
        page.wait(lambda: "word word" in page.text("#messages"))
    page.answered()
    assert "word word" in page.text("#messages")
    assert "Try again" in page.text(".problem")
    page.ask("And now?")
    page.answered()
    assert "Check that it is still running" in page.all(".problem")[-1].text
    with RunningServer(port=int(server.url.rpartition(":")[2])):
        page.click("Try again")
        page.wait(lambda: page.one("#model").get_attribute("value") == "demo")
        page.ask("Who are you?")
        page.wait(lambda: "small demonstration model" in page.answered()[-1])
