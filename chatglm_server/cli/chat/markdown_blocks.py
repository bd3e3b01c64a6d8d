"""Which part of a Markdown text that grows is final."""

from __future__ import annotations

from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt().enable(["table", "strikethrough"])


def split_finished(text: str) -> tuple[str, str]:
    """The blocks of `text` that no later text can change, and the rest: its last block, which may go on."""
    starts = [token.map[0] for token in _MARKDOWN.parse(text) if token.level == 0 and token.map and token.nesting >= 0]
    if len(starts) < 2:
        return "", text
    lines = text.splitlines(keepends=True)
    return "".join(lines[: starts[-1]]), "".join(lines[starts[-1] :])
