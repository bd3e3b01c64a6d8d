"""Markdown as HTML, block by block. A model's text is hostile: whatever it holds, the HTML does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypedDict

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import STANDARD_TYPES
from pygments.util import ClassNotFound

from .formulas import FORMULA, formulas
from .mathml import ATTRIBUTES, CELL_CLASSES, ELEMENTS, kept_value, mathml

MAX_HIGHLIGHTED = 20_000
"""Characters of a block of code; a longer one has one colour."""
_MAX_NAME = 40
_ALIGNMENTS = {"text-align:left": "left", "text-align:center": "center", "text-align:right": "right"}


class Block(TypedDict):
    """A paragraph, list, table or the like: the first of its lines, counted from 0, and its HTML."""

    line: int
    html: str


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable(["table", "strikethrough"]).use(formulas)

_CLEANER = nh3.Cleaner(
    tags={
        *("p", "br", "hr", "em", "strong", "s", "a", "code", "pre", "span", "blockquote", "ul", "ol", "li"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td"),
        *ELEMENTS,
    },
    attributes={"a": {"href", "title"}, "ol": {"start"}, "pre": {"data-language"}, **ATTRIBUTES},
    attribute_filter=kept_value,
    allowed_classes={
        "span": {name for name in STANDARD_TYPES.values() if name},
        "th": set(_ALIGNMENTS.values()),
        "td": set(_ALIGNMENTS.values()),
        "mtd": set(CELL_CLASSES),
    },
    set_tag_attribute_values={"a": {"target": "_blank"}},
    url_schemes={"http", "https", "mailto"},
    url_relative="deny",  # it would be an address of this server
    link_rel="noopener nofollow noreferrer",
)


def rendered(text: str) -> list[Block]:
    """The blocks of `text`, from CommonMark with tables, strikethrough and formulas. Images become links: nothing is
    loaded.

    All blocks but the last stay as they are if text is added, unless it defines a link that they name.
    """
    env: dict[str, object] = {}
    tokens = _MARKDOWN.parse(text, env)
    blocks: list[Block] = []
    start = 0
    for end, token in enumerate(tokens, 1):
        if token.level == 0 and token.nesting != 1:  # a block that opens is rendered with its end
            html = _html(tokens[start:end], env)
            blocks.append(Block(line=(tokens[start].map or [0])[0], html=_CLEANER.clean(html)))
            start = end
    return blocks


def _html(tokens: Sequence[Token], env: dict[str, object]) -> str:
    for token in tokens:
        if token.type == "inline":
            token.children = _without_images(token.children or [])
        elif token.type in ("th_open", "td_open"):  # the pages' policy keeps out styles in attributes
            token.attrs = {"class": _ALIGNMENTS.get(str(token.attrs.get("style")), "")}
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, env))


def _without_images(tokens: Sequence[Token]) -> list[Token]:
    """`tokens` with a link in place of each image, or with its text alone inside of another link."""
    found: list[Token] = []
    depth = 0
    for token in tokens:
        depth += token.nesting if token.type.startswith("link_") else 0
        if token.type != "image":
            found.append(token)
            continue
        text = Token("text", "", 0, content=token.content or str(token.attrs.get("src", "")))
        if depth:
            found.append(text)
        else:
            link = Token("link_open", "a", 1, attrs={"href": token.attrs.get("src", "")})
            found += [link, text, Token("link_close", "a", -1)]
    return found


def _code(text: str, name: str) -> str:
    """The inside of a block of code: spans with classes, if `name` is a language."""
    lexer = _lexer(name.lower()) if 0 < len(name) <= _MAX_NAME and len(text) <= MAX_HIGHLIGHTED else None
    if lexer is None:
        return nh3.clean_text(text)
    return str(highlight(text, lexer, HtmlFormatter(nowrap=True)))


@lru_cache(64)
def _lexer(name: str) -> Lexer | None:
    try:
        return get_lexer_by_name(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _fence(renderer: object, tokens: Sequence[Token], index: int, options: object, env: object) -> str:
    token = tokens[index]
    name = token.info.strip().split(maxsplit=1)[0] if token.info.strip() else ""
    language = nh3.clean_text(name[:_MAX_NAME])
    return f'<pre data-language="{language}"><code>{_code(token.content, name)}</code></pre>\n'


def _formula(renderer: object, tokens: Sequence[Token], index: int, options: object, env: object) -> str:
    """A formula that cannot be drawn is shown as it is written."""
    token = tokens[index]
    drawn = mathml(token.content, token.block)
    if drawn is not None:
        return drawn
    return f"<code>{'<br>'.join(map(nh3.clean_text, token.content.splitlines()))}</code>"


_MARKDOWN.add_render_rule(FORMULA, _formula)
_MARKDOWN.add_render_rule("fence", _fence)
_MARKDOWN.add_render_rule("code_block", _fence)
