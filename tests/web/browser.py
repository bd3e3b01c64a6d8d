"""Chromium, driven by selenium, with what tests do on the chat page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE_S = 30
T = TypeVar("T")


@contextmanager
def chromium(*, language: str = "en", downloads: Path | None = None) -> Iterator[Chrome]:
    """A browser without a window, whose console is kept."""
    options = ChromeOptions()
    for word in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "window-size=1200,900", f"lang={language}"):
        options.add_argument(f"--{word}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    preferences: dict[str, object] = {"intl.accept_languages": language}
    if downloads is not None:
        preferences["download.default_directory"] = str(downloads)
    options.add_experimental_option("prefs", preferences)
    options.binary_location = shutil.which("chromium") or ""
    browser = Chrome(options, ChromeService(shutil.which("chromedriver")))
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
        self.wait(lambda: self.browser.find_elements(By.CSS_SELECTOR, "#model option"))

    def wait(self, condition: Callable[[], T]) -> T:
        """What `condition` gives once it is true."""
        return WebDriverWait(self.browser, PATIENCE_S, 0.05).until(lambda _: condition())

    def all(self, selector: str) -> list[WebElement]:
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def button(self, words: str, within: str = "") -> WebElement:
        """The last button with these words or this label that is shown."""
        found = [
            button
            for button in self.all(f"{within} button")
            if button.is_displayed() and words in (button.text, button.get_attribute("aria-label"))
        ]
        return found[-1]

    def click(self, words: str, within: str = "") -> None:
        self.button(words, within).click()

    def ask(self, text: str) -> None:
        """Types a question and sends it with Enter."""
        self.one("#question").send_keys(text + "\n")

    def answered(self) -> list[str]:
        """The texts of all messages, once no answer is being written."""
        self.wait(lambda: self.one("#send").is_displayed() and not self.all(".waiting"))
        return self.texts()

    def texts(self) -> list[str]:
        return [element.text for element in self.all(".message .plain, .message .rendered")]

    def set(self, field: str, text: str) -> None:
        """Writes into a field of the settings."""
        element = self.one(f"#{field}")
        element.clear()
        element.send_keys(text)
