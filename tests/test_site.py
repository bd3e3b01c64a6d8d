"""The site of docs/: it builds, loads nothing from elsewhere, and says what the code says."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import benchmark_plots
import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.test_documents import PAGES, ROOT, blocks, headings, read
from tests.web.browser import PATIENCE_S, chromium

DOCS = ROOT / "docs"


class Page(HTMLParser):
    """What a page loads, and its text outside of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.prose = ""
        self._silent = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._silent += tag in ("code", "script", "style")
        self.loads += [value for name, value in attrs if value and name == ("href" if tag == "link" else "src")]

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("code", "script", "style")

    def handle_data(self, data: str) -> None:
        self.prose += data if not self._silent else ""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert built.returncode == 0, built.stderr
    return folder


def test_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for path in site.rglob("*.html"):
        loads = Page(read(path)).loads
        assert loads and not [link for link in loads if re.match(r"(\w+:)?//", link)], path.name


def test_site_has_every_page_and_no_markup_left(site: Path) -> None:
    """MkDocs reads fences and lists in lists by other rules than GitHub; what it does not know stays as it is."""
    for page in DOCS.glob("*.md"):
        prose = Page(read(site / f"{page.stem}.html")).prose
        assert not re.findall(r"^.*(?:```|\]\(|\*\*).*$|^ *(?:\*|\d\.) .*$", prose, re.MULTILINE), page.name


def test_search_works_from_the_disk(site: Path, tmp_path: Path) -> None:
    """In a browser, whose console has nothing to complain of."""
    with chromium(tmp_path) as browser:
        browser.get((site / "index.html").as_uri())
        field = browser.find_element(By.CSS_SELECTOR, "input.md-search__input")
        field.click()
        field.send_keys("mirror of Hugging Face")
        WebDriverWait(browser, PATIENCE_S).until(
            lambda _: browser.find_elements(By.CSS_SELECTOR, ".md-search-result__link[href*='models.html']")
        )
        assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]


def test_plots_are_those_of_the_page() -> None:
    for name, picture in benchmark_plots.plots(read(benchmark_plots.PAGE)).items():
        assert read(benchmark_plots.IMAGES / name) == picture, "run python scripts/benchmark_plots.py"


def test_first_minute_is_that_of_the_readme() -> None:
    assert set(blocks(read(DOCS / "index.md"))) <= set(blocks(read(ROOT / "README.md")))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_of_tests_exist(page: Path) -> None:
    """The site has no such files, so its pages name them without a link."""
    for name in re.findall(r"`(tests/[\w./-]+)`", read(page)):
        assert (ROOT / name).exists(), f"{page.name}: {name}"


def test_messages_are_those_of_the_code() -> None:
    """Each message of the page stands in one string of the code, where an ellipsis is what differs."""
    texts = {text for path in (ROOT / "chatglm_server").rglob("*.py") for text in strings(path)}
    messages = [title.strip("`") for level, title in headings(read(DOCS / "troubleshooting.md")) if level == 3]
    assert len(messages) > 40
    for message in messages:
        assert any(stands_in(message.split("…"), text) for text in texts), message


def stands_in(parts: list[str], text: str) -> bool:
    """True if `text` has all parts, one behind the other."""
    place = 0
    for part in parts:
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def strings(path: Path) -> list[str]:
    """The texts of a module, with an ellipsis for each value that is put in."""
    found = []
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.JoinedStr):
            found.append("".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append(node.value)
    return found
