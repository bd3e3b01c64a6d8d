"""Markdown that grows: its tokens, and which part of it is final."""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ...markdown.formulas import FORMULA, formulas

_MARKDOWN = MarkdownIt().enable(["table", "strikethrough"]).use(formulas)


def parsed(text: str) -> list[Token]:
    """The tokens of `text`. Formulas are code: a terminal shows their LaTeX as it is written."""
    tokens = _MARKDOWN.parse(text)
    for token in tokens:
        for inner in token.children or ():
            if inner.type == FORMULA:
                inner.type, inner.tag = "code_inline", "code"
    return tokens


def split_finished(text: str) -> tuple[str, str]:
    """The blocks of `text` that no later text can change, and the rest: its last block, which may go on."""
    starts = [token.map[0] for token in _MARKDOWN.parse(text) if token.level == 0 and token.map and token.nesting >= 0]
    if len(starts) < 2:
        return "", text
    lines = text.split("\n")  # where Markdown sees lines: str.splitlines knows more ends, such as U+2028
    return "\n".join([*lines[: starts[-1]], ""]), "\n".join(lines[starts[-1] :])
