"""LaTeX as MathML Core, which browsers draw without scripts: https://www.w3.org/TR/mathml-core/."""

from __future__ import annotations

import re
from functools import lru_cache

from math_core import LatexError, LatexToMathML

_KEPT = 512
"""Formulas whose MathML is kept: the last paragraph of an answer is rendered again and again while it grows."""

_MACROS = {
    "mbox": r"\text{#1}",
    "ce": r"\mathrm{#1}",
    # A formula has no number but the one that the model gives it: each is converted alone, and would be number 1.
    "tag": r"\qquad(\text{#1})",
    "label": r"\mathrm{}",
    "nonumber": r"\mathrm{}",
    "notag": r"\mathrm{}",
}
_ENVIRONMENT = re.compile(r"\\(begin|end)\{(equation|align|split|gather|multline)\*?\}")
_WITHOUT_NUMBERS = {"align": "aligned", "split": "aligned", "gather": "gathered", "multline": "gathered"}

_STYLE = re.compile(r' style="([^"]*)"')
_CLASSES = {
    "text-align: left": "left",
    "text-align: right": "right",
    "padding-left: 0": "close-left",
    "padding-right: 0": "close-right",
    "border-top: 0.05em solid currentcolor": "line-above",
    "border-right: 0.05em solid currentcolor": "line-right",
}
"""The classes of chatglm_server/web/css/formulas.css that stand for styles: the page's policy keeps out styles."""
_COLOUR = re.compile(r"color:(#[0-9A-Fa-f]{6});?")

CELL_CLASSES = frozenset(_CLASSES.values())
ELEMENTS = frozenset(
    {
        *("math", "mi", "mn", "mo", "mtext", "mspace", "mrow", "mpadded", "mphantom", "menclose"),
        *("msup", "msub", "msubsup", "mover", "munder", "munderover", "mfrac", "msqrt", "mroot"),
        *("mtable", "mtr", "mtd", "b", "i"),
    }
)
"""The elements of formulas that a page may show. ``b`` and ``i`` stand in texts."""
ATTRIBUTES = {
    "math": {"display"},
    "mi": {"mathvariant"},
    "mo": {"form", "stretchy", "symmetric", "largeop", "movablelimits", "lspace", "rspace", "minsize", "maxsize"},
    "mspace": {"width"},
    "mrow": {"displaystyle", "scriptlevel", "mathcolor"},
    "mtable": {"displaystyle", "scriptlevel"},
    "mfrac": {"displaystyle", "scriptlevel", "linethickness"},
    "mover": {"accent"},
    "munder": {"accentunder"},
    "menclose": {"notation"},
}
"""Their attributes."""
_LENGTHS = frozenset({"width", "linethickness", "lspace", "rspace", "minsize", "maxsize"})
_SHORT = re.compile(r"(?:-0?|\d{0,2})(?:\.\d+)?(?:em|ex|rem|px|pt)?")


@lru_cache(_KEPT)
def mathml(latex: str, displayed: bool) -> str | None:
    """The element ``math`` for a formula, or None if its LaTeX is wrong or not known. It is yet to be cleaned."""
    latex = _ENVIRONMENT.sub(_unnumbered, latex)
    try:
        element: str = _CONVERTER.convert_with_local_state(latex, displaystyle=displayed)
    except (LatexError, UnicodeEncodeError):  # half a surrogate pair
        return None
    return _STYLE.sub(_attributes, element)


def kept_value(tag: str, attribute: str, value: str) -> str | None:
    """`value`, or None if it is a length that would reach far out of the formula. Other elements keep theirs."""
    if tag in ELEMENTS and attribute in _LENGTHS and not _SHORT.fullmatch(value):
        return None
    return value


def _unnumbered(match: re.Match[str]) -> str:
    name = _WITHOUT_NUMBERS.get(match[2])
    return f"\\{match[1]}{{{name}}}" if name else ""


def _attributes(match: re.Match[str]) -> str:
    """What the page's policy lets through in place of a style."""
    if colour := _COLOUR.fullmatch(match[1]):
        return f' mathcolor="{colour[1]}"'
    names = [_CLASSES.get(style.strip(), "") for style in match[1].split(";")]
    return f' class="{" ".join(filter(None, names))}"'


_CONVERTER = LatexToMathML(macros=_MACROS, fancy_error=False)
