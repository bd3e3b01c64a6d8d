"""The Markdown pages: links lead somewhere, twins are alike, options exist, examples are what the code does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import settings_page
from demo_model.card import card

from chatglm_server.cli.argument_parser import option_name
from chatglm_server.cli.commands import COMMANDS, SERVE
from chatglm_server.convert.mixes import MIXES
from chatglm_server.formats.registry import FORMATS
from chatglm_server.hub.catalog import CATALOG
from chatglm_server.settings import Settings

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for folder in (ROOT, *(ROOT / name for name in ("chatglm_server", "docs", "models", "scripts")))
    for path in (folder.glob("*.md") if folder == ROOT else folder.rglob("*.md"))
)
FENCE = re.compile(r"^(`{3,})(.*)\n((?:.*\n)*?)\1$", re.MULTILINE)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
PROGRAM = re.compile(r"(?:chatglm-server|python -m chatglm_server|scripts/run)(?: (\w*)(.*))?$", re.MULTILINE)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def prose(text: str) -> str:
    """`text` without its fenced blocks."""
    return FENCE.sub("", text)


def blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks: language and content."""
    return [(match[2], match[3].removesuffix("\n")) for match in FENCE.finditer(text)]


def blocks_by_heading(text: str) -> dict[str, list[tuple[str, str]]]:
    """The fenced blocks below each heading. A line in a block is no heading, whatever it looks like."""
    found: dict[str, list[tuple[str, str]]] = {}
    title = ""
    for match in re.finditer(rf"{FENCE.pattern}|^#+ (?P<title>.+)$", text, re.MULTILINE):
        title = match["title"] or title
        if match[1]:
            found.setdefault(title, []).append((match[2], match[3].removesuffix("\n")))
    return found


def headings(text: str) -> list[tuple[int, str]]:
    return [(len(marks), title) for marks, title in re.findall(r"^(#+) (.+)$", prose(text), re.MULTILINE)]


def anchors(path: Path) -> set[str]:
    """The headings' anchors, as GitHub makes them."""
    titles = (re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", title) for _, title in headings(read(path)))
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in LINK.findall(prose(read(path))):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link} leads nowhere"
        assert not anchor or anchor in anchors(target), f"{link}: {target.name} has the anchors {anchors(target)}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_options_exist(path: Path) -> None:
    """Every option that a page gives to a command is one of the command's."""
    for command, rest in PROGRAM.findall(read(path)):
        fields = COMMANDS.get(command, COMMANDS[SERVE]).options.model_fields
        known = {option_name(name) for name in fields}
        known |= {f"--no-{name.replace('_', '-')}" for name, field in fields.items() if field.annotation is bool}
        assert set(OPTION.findall(rest)) <= known | {"--help", "--version"}, f"{command}{rest}"


def test_settings_page_is_that_of_the_settings() -> None:
    page = read(settings_page.PAGE)
    assert page == settings_page.page(page), "run python scripts/settings_page.py"


def test_settings_page_has_every_option() -> None:
    """The groups of the settings leave none out."""
    rows = re.findall(r"^\| `--([a-z-]+)` \|.*\| `CHATGLM_([A-Z_]+)` \|", read(settings_page.PAGE), re.MULTILINE)
    assert sorted(option.replace("-", "_") for option, _ in rows) == sorted(Settings.model_fields)
    assert all(option.replace("-", "_").upper() == variable for option, variable in rows)


def test_models_page_has_every_short_name_and_mix() -> None:
    page = read(ROOT / "docs" / "models.md")
    for name, entry in CATALOG.items():
        row = f"| `{name}` | {entry.huggingface} | {entry.modelscope} | {entry.size_gb} GB |".replace("|  |", "| |")
        assert row in page
    mixes = page.partition("`--type` is the name of a mix")[2].partition(" or `q2_k`")[0]
    assert {*re.findall(r"`(\w+)`", mixes), "q2_k"} == set(MIXES)


def test_readmes_are_twins() -> None:
    """README and its Chinese twin: the same headings, blocks, tables, lists, links and words of code, in this order."""
    english, chinese = read(ROOT / "README.md"), read(ROOT / "README_zh.md")
    assert [level for level, _ in headings(english)] == [level for level, _ in headings(chinese)]
    assert blocks(english) == blocks(chinese)
    for (_, title), ours, theirs in zip(headings(english), sections(english), sections(chinese), strict=True):
        assert structure(ours) == structure(theirs), title


def sections(text: str) -> list[str]:
    return re.split(r"^#+ .+\n", prose(text), flags=re.MULTILINE)[1:]


def structure(section: str) -> dict[str, Any]:
    """What a translation keeps: links, without anchors and the twin's; words of code; the shape of tables and lists."""
    links = {link.partition("#")[0] or "#" for link in LINK.findall(section)} - {"README.md", "README_zh.md"}
    return {
        "links": links,
        "code": sorted(re.findall(r"`([^`]+)`", section)),
        "tables": [line.count("|") for line in section.splitlines() if line.startswith("|")],
        "items": len(re.findall(r"^\* ", section, re.MULTILINE)),
    }


def test_format_examples_are_what_the_formats_do() -> None:
    text = read(ROOT / "docs" / "formats.md")
    talk, call = (json.loads(content) for language, content in blocks(text) if "conversation" in language)
    formats = {name: dict(found) for name, found in blocks_by_heading(text).items() if "prompt" in dict(found)}
    assert set(formats) == set(FORMATS)
    rendered = run(
        "render", [{"format": name, **(call if "answer" in found else talk)} for name, found in formats.items()]
    )
    assert [line["prompt"] for line in rendered] == [found["prompt"] for found in formats.values()]

    answers = [
        {
            "format": name,
            "raw": found["answer"],
            "tools": call["tools"],
            "prompt_ends_in_think": found["prompt"].endswith("<think>"),
        }
        for name, found in formats.items()
        if "answer" in found
    ]
    function = call["messages"][1]["tool_calls"][0]["function"]
    expected = [{"name": function["name"], "arguments": json.loads(function["arguments"])}]
    assert [line["tool_calls"] for line in run("parse", answers)] == [expected] * len(answers)
    assert {name for name in FORMATS if FORMATS[name].supports_tools} == {line["format"] for line in answers}


def test_parse_example_of_the_formats_page() -> None:
    text = read(ROOT / "docs" / "formats.md")
    command = next(content for language, content in blocks(text) if language == "sh" and content.startswith("echo"))
    (line,) = re.findall(r"^echo '(.+)' > answers.jsonl$", command, re.MULTILINE)
    expected = [json.loads(content) for language, content in blocks(text) if language == "json"]
    assert run("parse", [json.loads(line)]) == expected


def run(command: str, lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """JSON Lines through ``chatglm-server parse`` or ``render``."""
    words = [sys.executable, "-m", "chatglm_server", command]
    text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
    output = subprocess.run(words, input=text.encode(), capture_output=True, check=True, cwd=ROOT).stdout
    return [json.loads(line) for line in output.decode().splitlines()]


def test_model_card_is_that_of_the_figures() -> None:
    folder = ROOT / "models"
    assert read(folder / "README.md") == card(folder)


def test_the_architecture_page_names_every_part_of_the_package() -> None:
    page = read(ROOT / "docs" / "architecture.md")
    package = ROOT / "chatglm_server"
    folders = {path.parent for path in package.rglob("*.py")} | {package / "native" / "arch"}
    for folder in sorted(folders - {package}):
        assert f"{folder.name}/" in page, folder
