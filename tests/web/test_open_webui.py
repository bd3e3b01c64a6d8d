"""Open WebUI in front of this server, as docs/clients.md sets it up: a conversation and a tool call, in a browser."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
import uvicorn
import yaml
from fastapi import FastAPI
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.open_webui import REQUIREMENTS, ROOT, recipe, serving
from tests.serving import RunningServer, user

_PATIENCE_S = 120
_GREEDY = {"temperature": 0}
T = TypeVar("T")


class Page:
    """Open WebUI's page as a person uses it."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self._browser = browser
        self._url = url

    def begin(self) -> None:
        """Begins a new chat."""
        self._browser.get(self._url)
        self._wait(lambda: self._all("#chat-input") and self._all("[aria-label='Selected model: demo']"))

    def press(self, words: str) -> None:
        """Presses the first button that begins with these words or has them as its label, once there is one."""
        self._wait(lambda: [button for button in self._all("button") if _is(button, words)])[0].click()

    def close_dialogs(self) -> None:
        self._all("body")[0].send_keys(Keys.ESCAPE)
        self._wait(lambda: not self._all("[role=dialog], [role=menu]"))

    def ask(self, question: str) -> str:
        """The text of the answer, once it is finished."""
        before = len(self._all("[aria-label=Regenerate]"))
        self._all("#chat-input")[0].send_keys(question + Keys.ENTER)
        self._wait(lambda: len(self._all("[aria-label=Regenerate]")) > before)
        return self._all(".chat-assistant .markdown-prose")[-1].text

    def calls(self) -> list[str]:
        """What the page says of the calls of tools."""
        return [element.text for element in self._all(".chat-assistant [id$=tool-call]")]

    def _all(self, selector: str) -> list[WebElement]:
        return self._browser.find_elements(By.CSS_SELECTOR, selector)

    def _wait(self, condition: Callable[[], T]) -> T:
        # The page draws its elements anew while they are read.
        waiting = WebDriverWait(self._browser, _PATIENCE_S, 0.1, [StaleElementReferenceException])
        return waiting.until(lambda _: condition())


def _is(button: WebElement, words: str) -> bool:
    return button.is_displayed() and (button.text.startswith(words) or button.get_attribute("aria-label") == words)


@contextmanager
def weather() -> Iterator[tuple[str, list[str]]]:
    """A server of one tool, as OpenAPI describes it: its address, and the cities that it was asked for."""
    tools = FastAPI(title="Weather")
    cities: list[str] = []

    @tools.get("/weather", operation_id="get_weather", description="Get the current weather in a city")
    def get_weather(city: str) -> str:
        cities.append(city)
        return "sunny, 21 degrees"

    server = uvicorn.Server(uvicorn.Config(tools, port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        thread.join(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", cities
    server.should_exit = True
    thread.join(30)


def asked(server: RunningServer) -> list[dict[str, str]]:
    """What the log says of each question: how many messages and tools it had, and which tools the answer called."""
    lines = [line for line in server.lines if "POST /v1/chat/completions" in line]
    return [dict(word.split("=", 1) for word in line.split() if "=" in word) for line in lines]


@pytest.mark.slow
@pytest.mark.skipif(not (3, 11) <= sys.version_info < (3, 13), reason="Open WebUI runs on Python 3.11 and 3.12")
def test_conversation_and_call_in_open_webui(browser: Chrome, tmp_path: Path) -> None:
    """The page shows what the server answers. Nothing more is asked of the server, and nothing of other addresses."""
    with RunningServer() as server, weather() as (tools, cities):
        connection = {"url": tools, "path": "openapi.json", "auth_type": "none", "config": {"enable": True}}
        variables = {
            "OPENAI_API_BASE_URL": f"{server.url}/v1",
            "DEFAULT_MODEL_PARAMS": json.dumps(_GREEDY),
            "TOOL_SERVER_CONNECTIONS": json.dumps([connection | {"info": {"name": "Weather"}}]),
        }
        with serving(tmp_path, variables) as url:
            page = Page(browser, url)
            page.begin()
            page.press("Okay, Let's Go!")
            page.close_dialogs()
            answers = [page.ask("Hello!"), page.ask("Who are you?")]
            page.begin()
            page.press("Integrations")
            page.press("Tools")
            page.press("Weather")
            page.close_dialogs()
            forecast = page.ask("What is the weather in Paris?")
            calls = page.calls()
        requests = asked(server)
        messages = user("Hello!")
        for question in ("Who are you?", None):
            answer = server.post(json={"messages": messages} | _GREEDY).json()["choices"][0]["message"]
            assert answer["content"] == answers.pop(0)
            messages += [answer, *user(question)] if question else []
    assert cities == ["Paris"]
    assert calls == ["View Result from get_weather"]
    assert forecast == "The weather in Paris: 21 degrees, sunny."
    assert [(words["messages"], words["tools"], words.get("calls"), words["stream"]) for words in requests] == [
        ("1", "0", None, "yes"),
        ("3", "0", None, "yes"),
        ("1", "1", "get_weather", "yes"),
        ("3", "1", None, "yes"),
    ]


def test_container_is_set_up_as_the_page_says() -> None:
    """compose.yaml has the version that is tested, and the page's variables with the addresses of its network."""
    compose = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    [version] = re.findall("^open-webui==.*$", REQUIREMENTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert f"RUN pip install --no-cache-dir {version}\n" in compose
    environment = yaml.safe_load(compose)["services"]["open-webui"]["environment"]
    differing = {"OPENAI_API_BASE_URL", "OPENAI_API_KEY"}
    assert environment.keys() == recipe().keys()
    assert {name: environment[name] for name in environment.keys() - differing} == {
        name: value for name, value in recipe().items() if name not in differing
    }
