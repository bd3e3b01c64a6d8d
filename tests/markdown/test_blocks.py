"""Markdown of models as HTML: what it may hold, that it grows at its end, and that no text keeps the server busy."""

from __future__ import annotations

import asyncio
from html.parser import HTMLParser

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatglm_server.markdown.blocks import rendered
from chatglm_server.markdown.renderer import MAX_TEXT, Renderer
from tests.serving import RunningServer

TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "a", "code", "pre", "span", "blockquote", "ul", "ol", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
    *("math", "mi", "mn", "mo", "mtext", "mspace", "mrow", "mpadded", "mphantom", "menclose", "msqrt", "mroot"),
    *("msup", "msub", "msubsup", "mover", "munder", "munderover", "mfrac", "mtable", "mtr", "mtd", "b", "i"),
}
ATTRIBUTES = {
    *("href", "title", "target", "rel", "start", "class", "data-language"),
    *("display", "mathvariant", "form", "stretchy", "symmetric", "largeop", "movablelimits", "accent", "accentunder"),
    *("displaystyle", "scriptlevel", "mathcolor", "notation", "width", "linethickness", "lspace", "rspace"),
    *("minsize", "maxsize"),
}
PIECES = (
    *(
        "<script>",
        "</script>",
        "<img src=x onerror=y>",
        "<a href='javascript:x'>",
        '" onclick="x',
        "<!--",
        "]]>",
        "&lt;",
    ),
    *("[a](javascript:x)", "[a](data:x)", "[a](//e)", "![a](http://e/i)", "[a]: vbscript:x\n", "<http://e>"),
    *("[", "](", "(", ")", "```html\n", "```\n", '~~~x" onload=y\n', "\n", "\n\n", "    ", "> ", "- ", "1. ", "# "),
    *("| a | b |\n", "|-:|-|\n", "*", "**", "_", "~~", "`", "\\", "x", " ", "é", "中", "\0"),
    *("$", "$$", "\\(", "\\)", "\\[", "\\]", "\\[\n", "$$\n", "x^2", "{", "}", "&", "\\\\", "\\text{<b>", "\\frac"),
    *(
        "\\href{javascript:x}",
        "\\class{x}",
        '\\color{red" onclick="x}',
        "\\begin{align}",
        "\\end{align}",
        "\\hspace{999em}",
    ),
)


class Checked(HTMLParser):
    """Fails at anything that may not be in the HTML."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        for name, value in attrs:
            assert name in ATTRIBUTES, name
            assert name != "href" or (value or "").startswith(("http://", "https://", "mailto:")), value
            assert name != "target" or value == "_blank"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_html_holds_nothing_that_acts(text: str) -> None:
    for block in rendered(text):
        Checked().feed(block["html"])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join), st.data())
def test_all_but_the_last_block_stay_while_a_text_grows(text: str, data: st.DataObject) -> None:
    """Where no link is defined: the rest of the text alone gives the rest of the blocks."""
    text = text.replace("]:", "")
    before = rendered(text[: data.draw(st.integers(0, len(text)))])
    whole = rendered(text)
    if before:
        kept, last = before[:-1], before[-1]["line"]
        assert whole[: len(kept)] == kept
        rest = text.replace("\0", "\ufffd").split("\n")[last:]
        assert [block["html"] for block in rendered("\n".join(rest))] == [block["html"] for block in whole[len(kept) :]]


def test_a_text_that_takes_too_long_is_shown_as_it_is() -> None:
    endless = '```scala\n"\\' + "\\" * 2000 + "<b>\n```"

    async def texts() -> list[str]:
        renderer = Renderer(seconds=1)
        try:
            return [(await renderer.render(text))[0]["html"] for text in ("*a*", endless, "*b*")]
        finally:
            await renderer.close()

    before, shown, after = asyncio.run(texts())
    assert (before, after) == ("<p><em>a</em></p>\n", "<p><em>b</em></p>\n")
    assert shown.startswith("<pre>```scala")
    assert "&lt;b&gt;" in shown


def test_a_process_that_was_ended_is_started_again() -> None:
    async def texts() -> list[str]:
        renderer = Renderer()
        try:
            first = await renderer.render("*a*")
            assert renderer._process is not None
            renderer._process.kill()
            await renderer._process.wait()
            return [blocks[0]["html"] for blocks in (first, await renderer.render("*b*"))]
        finally:
            await renderer.close()

    assert asyncio.run(texts()) == ["<p><em>a</em></p>\n", "<p><em>b</em></p>\n"]


@pytest.mark.parametrize("text", ["[" * MAX_TEXT, "|a" * 999 + "\n" + "|-" * 999 + "\n" + "a\n" * 9000, "> " * 9000])
def test_a_text_that_would_take_long_elsewhere(server: RunningServer, text: str) -> None:
    assert server.post("/render", json={"text": text}).json()["blocks"]


def test_the_route(server: RunningServer) -> None:
    html = "<h1>A</h1>\n"
    blocks = [{"line": 0, "html": html}, {"line": 2, "html": "<p>b<br>\nc</p>\n"}]
    assert server.post("/render", json={"text": "# A\n\nb\nc"}).json() == {"blocks": blocks}
    assert server.post("/render", json={"text": ""}).json() == {"blocks": []}
    refused = server.post("/render", json={"text": "a" * (MAX_TEXT + 1)})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "text")
    assert httpx.post(f"{server.url}/render", data={"text": "a"}).status_code == 415
