"""Chromium, driven by selenium, with what tests do on the chat page."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from chatglm_server.settings import Settings
from tests.serving_here import serving

PATIENCE_S = 30
T = TypeVar("T")


@contextmanager
def chromium(downloads: Path) -> Iterator[Chrome]:
    """A browser without a window, whose console is kept."""
    options = ChromeOptions()
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1200,900", "lang=en"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    programs = [shutil.which(name) for name in ("chromium", "chromedriver")]
    assert all(programs), "install Debian's packages chromium and chromium-driver"
    options.binary_location = programs[0] or ""
    browser = Chrome(options, ChromeService(programs[1]))
    try:
        yield browser
    finally:
        browser.quit()


class ChatPage:
    """The page as a person uses it."""

    def __init__(self, browser: Chrome, url: str) -> None:
        self.browser = browser
        self.url = url

    def open(self) -> None:
        """Loads the page anew; it is ready once it knows the model."""
        self.browser.get(self.url)
        self.wait(lambda: self.all("#model option"))

    def begin(self) -> None:
        """Loads the page and begins a new conversation with plain settings."""
        self.open()
        self.browser.execute_script("localStorage.clear(); sessionStorage.clear()")
        self.script(
            "const {remove, everyConversation} = await import('/web/js/storage.js');"
            "for (const {id} of await everyConversation()) await remove(id)"
        )
        self.open()

    def wait(self, condition: Callable[[], T]) -> T:
        """What `condition` gives once it is true."""
        return WebDriverWait(self.browser, PATIENCE_S, 0.05).until(lambda _: condition())

    def script(self, source: str, *arguments: object) -> Any:
        """What the body of an async function returns."""
        done = "const done = arguments[arguments.length - 1];"
        wrapped = f"{done}(async (...given) => {{{source}}})(...arguments).then(done, (error) => done(String(error)))"
        return self.browser.execute_async_script(wrapped, *arguments)

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return self.one(selector).text

    def click(self, words: str, within: str = "") -> None:
        """Presses the last button that is shown with these words, or this label."""
        named = [(button.text, button.accessible_name, button) for button in self.all(f"{within} button")]
        [button for text, name, button in named if words in (text, name) and button.is_displayed()][-1].click()

    def ask(self, text: str) -> None:
        """Types a question and sends it with Enter."""
        self.one("#question").send_keys(text + "\n")

    def answered(self) -> list[str]:
        """The texts of all messages, once no answer is being written."""
        self.wait(lambda: self.one("#send").is_displayed() and not self.all("[aria-busy=true]"))
        return [element.text for element in self.all(".message .plain, .message .rendered")]

    def set(self, **fields: str) -> None:
        """Writes into fields of the settings."""
        self.click("Settings")
        for name, text in fields.items():
            field = self.one(f"#{name}")
            field.clear()
            field.send_keys(text)
        self.click("Close", "#settings")

    def emulate(self, command: str, **values: object) -> None:
        """A command of the DevTools protocol: https://chromedevtools.github.io/devtools-protocol/."""
        self.browser.execute_cdp_cmd(command, values)


@contextmanager
def replaying(browser: Chrome, folder: Path, *lines: dict[str, Any], **settings: Any) -> Iterator[ChatPage]:
    """The page of a server that answers with these recordings, by turns."""
    path = folder / "recorded.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    with serving(Settings(_env_file=None, model=f"replay:{path}", **settings)) as (url, _):
        page = ChatPage(browser, url)
        if "api_key" not in settings:
            page.begin()
        yield page
