"""Formulas in Markdown, as models write them: ``\\(…\\)``, ``\\[…\\]``, ``$…$`` and ``$$…$$``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

MAX_FORMULA = 3_000
"""Characters of a formula; a longer one stays text."""
FORMULA = "formula"
"""The type of a formula's token: `content` is LaTeX, `markup` what it begins with, `block` whether it is displayed."""


@dataclass(frozen=True, slots=True)
class _Delimiters:
    opening: str
    closing: str
    displayed: bool = False


_DOLLARS = _Delimiters("$", "$")
_DELIMITERS = (
    _Delimiters("\\[", "\\]", displayed=True),
    _Delimiters("$$", "$$", displayed=True),
    _Delimiters("\\(", "\\)"),
    _DOLLARS,
)
_PRICE = re.compile(r"[0-9A-Za-z]\$|.?\$\s", re.DOTALL)
"""A dollar that begins no formula, and the character before it: ``US$5``, ``5 $ and``."""
_WORD = re.compile(r"\s\$|.\$[0-9A-Z_]", re.DOTALL)
"""A dollar that ends no formula: ``or $6``, ``/$USER``."""
_FENCES = ("```", "~~~")


def formulas(markdown: MarkdownIt) -> None:
    """A plugin of markdown-it that makes tokens of formulas. One that does not end in its paragraph stays text."""
    markdown.inline.ruler.before("escape", FORMULA, _formula)
    markdown.block.ruler.before("fence", FORMULA, _lines, {"alt": ["paragraph", "reference", "blockquote", "list"]})


def _formula(state: StateInline, silent: bool) -> bool:
    text, begin = state.src, state.pos
    delimiters = _opened(text, begin)
    if delimiters is None:
        return False
    start, end = begin + len(delimiters.opening), min(state.posMax, begin + MAX_FORMULA)
    if not delimiters.displayed and (line_end := text.find("\n", start, end)) >= 0:
        end = line_end
    close = _closed(text, delimiters, start, end)
    content = text[start:close].strip()
    if close < 0 or not content:
        return False
    if delimiters is _DOLLARS and (_PRICE.match(text, max(0, begin - 1)) or _WORD.match(text, close - 1)):
        return False
    if not silent:
        token = state.push(FORMULA, "math", 0)
        token.content, token.markup, token.block = content, delimiters.opening, delimiters.displayed
    state.pos = close + len(delimiters.closing)
    return True


def _opened(text: str, place: int) -> _Delimiters | None:
    return next((each for each in _DELIMITERS if text.startswith(each.opening, place)), None)


def _closed(text: str, delimiters: _Delimiters, start: int, end: int) -> int:
    """The place of the first closing delimiter that is not escaped, or -1."""
    place = text.find(delimiters.closing, start, end)
    while place >= 0:
        before = place
        while before > start and text[before - 1] == "\\":
            before -= 1
        if (place - before) % 2 == 0:
            return place
        place = text.find(delimiters.closing, place + 1, end)
    return -1


def _lines(state: StateBlock, first: int, end: int, silent: bool) -> bool:
    """A displayed formula of several lines is a paragraph: none of its lines begins a list, a quotation or the like.

    It ends at an empty line at the latest, so that text which follows never changes what is before that line.
    """
    if state.is_code_block(first):
        return False
    text, begin, line_end = state.src, state.bMarks[first] + state.tShift[first], state.eMarks[first]
    delimiters = _opened(text, begin)
    if delimiters is None or not delimiters.displayed:
        return False
    if line_end == len(text) or _closed(text, delimiters, begin + len(delimiters.opening), line_end) >= 0:
        return False  # the line may go on, or is a formula in a paragraph like others
    if silent:
        return True
    line = first + 1
    while line < end and not state.isEmpty(line) and state.sCount[line] >= state.blkIndent:
        start, line_end = state.bMarks[line] + state.tShift[line], state.eMarks[line]
        if text.startswith(_FENCES, start):
            break
        line += 1
        if _closed(text, delimiters, start, line_end) >= 0:
            break
    state.line = line
    paragraph = state.push("paragraph_open", "p", 1)
    paragraph.map = [first, line]
    inline = state.push("inline", "", 0)
    inline.content = state.getLines(first, line, state.blkIndent, False).strip()
    inline.map = [first, line]
    inline.children = []
    state.push("paragraph_close", "p", -1)
    return True
