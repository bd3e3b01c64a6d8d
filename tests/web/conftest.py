"""Fixtures: one browser for a module, and the page of the demo model in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.serving import RunningServer
from tests.web.browser import ChatPage, chromium


@pytest.fixture(scope="package")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="package")
def browser(downloads: Path) -> Iterator[Chrome]:
    with chromium(downloads) as started:
        yield started


@pytest.fixture
def page(browser: Chrome, server: RunningServer) -> ChatPage:
    page = ChatPage(browser, server.url)
    page.begin()
    return page
