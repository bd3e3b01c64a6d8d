"""Reads Python literals in a model's text as JSON values.

`ast` reads only single escapes and single numbers. Brackets are read here: Python's own parser may exhaust the stack
on hostile nesting, knows operators, and refuses the line breaks that models leave in plain quotes.
"""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from typing import Any

import regex

from ...json_text import NotAnObject, dump_json, is_json_number

MAX_DEPTH = 64
"""Levels of brackets. Deeper nesting is not an argument that anybody meant."""

_GAP = re.compile(r"\s*(?:#[^\n]*\s*)*")
_STRING = {
    quote: regex.compile(rf"[^{quote[0]}\\]*+(?:(?:\\.|{inner})[^{quote[0]}\\]*+)*+{quote}", regex.DOTALL)
    for quote, inner in (("'", r"\\."), ('"', r"\\."), ("'''", "'(?!'')"), ('"""', '"(?!"")'))
}
_QUOTE = re.compile(r"(?P<prefix>[rRuU]?)(?P<quote>'''|\"\"\"|'|\")")
_NUMBER = re.compile(r"(?:0[xXoObB]\w+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?[\d_]+)?)(?![\w.])")
_WORD = re.compile(r"[^\W\d]\w*")
_ESCAPE = re.compile(
    r"\\(?:\r?\n|[\\'\"abfnrtv]|[0-7]{1,3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|N\{[\w -]+\})"
)
_CONSTANTS: dict[str, Any] = {"True": True, "False": False, "None": None, "true": True, "false": False, "null": None}


class LiteralReader:
    """Reads literals in `text` from position `at` on: strings, numbers, constants; lists, tuples and dicts of them.

    Operators, names, calls, f-strings, bytes, sets and numbers that JSON cannot spell raise NotAnObject.
    """

    def __init__(self, text: str, at: int = 0) -> None:
        self._text = text
        self._depth = 0
        self.at = at

    def value(self) -> Any:
        """Returns the next literal; tuples become lists. Mutates the reader. Raises: NotAnObject."""
        self._gap()
        bracket = self._text[self.at : self.at + 1]
        if bracket and bracket in "[({":
            self.at += 1
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise NotAnObject("nested too deeply")
            result = self._dict() if bracket == "{" else self._items(")" if bracket == "(" else "]")
            self._depth -= 1
            return result
        if _QUOTE.match(self._text, self.at):
            return self._strings()
        if self.take("-"):
            return -self._number()
        if self.take("+") or (bracket and bracket in ".0123456789"):
            return self._number()
        word = _WORD.match(self._text, self.at)
        if word is None or word.group() not in _CONSTANTS:
            raise NotAnObject("not a literal")
        self.at = word.end()
        return _CONSTANTS[word.group()]

    def take(self, mark: str) -> bool:
        """Skips blanks, and `mark` if it comes next. Returns whether it does. Mutates the reader."""
        self._gap()
        found = self._text.startswith(mark, self.at)
        self.at += len(mark) if found else 0
        return found

    def take_pattern(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Reads and returns the next match of `pattern`. Mutates the reader.

        Raises: NotAnObject if it does not match.
        """
        self._gap()
        match = pattern.match(self._text, self.at)
        if match is None:
            raise NotAnObject("not what belongs here")
        self.at = match.end()
        return match

    def expect_end(self) -> None:
        """Raises: NotAnObject if anything but blanks is left."""
        self._gap()
        if self.at < len(self._text):
            raise NotAnObject("more than a literal")

    def _gap(self) -> None:
        match = _GAP.match(self._text, self.at)
        self.at = match.end() if match else self.at

    def _items(self, close: str) -> Any:
        items: list[Any] = []
        comma = True
        while not self.take(close):
            if not comma:
                raise NotAnObject("no comma")
            items.append(self.value())
            comma = self.take(",")
        in_parentheses_only = close == ")" and len(items) == 1 and not comma
        return items[0] if in_parentheses_only else items

    def _dict(self) -> dict[str, Any]:
        result: dict[str, Any] = {}
        comma = True
        while not self.take("}"):
            if not comma:
                raise NotAnObject("no comma")
            key = self.value()
            if isinstance(key, list | dict) or not self.take(":"):
                raise NotAnObject("no key")
            result.setdefault(key if isinstance(key, str) else dump_json(key), self.value())
            comma = self.take(",")
        return result

    def _strings(self) -> str:
        """Reads a string, or several in a row, which are one."""
        parts: list[str] = []
        while start := _QUOTE.match(self._text, self.at):
            body = _STRING[start["quote"]].match(self._text, start.end())
            if body is None:
                raise NotAnObject("a string without an end")
            text = body.group().removesuffix(start["quote"])
            parts.append(text if start["prefix"] in ("r", "R") else _ESCAPE.sub(_unescape, text))
            self.at = body.end()
            self._gap()
        return "".join(parts)

    def _number(self) -> int | float:
        text = self.take_pattern(_NUMBER).group()
        try:
            number = ast.literal_eval(text)
        except (SyntaxError, ValueError) as error:
            raise NotAnObject(str(error)) from None
        if not is_json_number(number):
            raise NotAnObject("not a number of JSON")
        return number  # type: ignore[no-any-return]


def _unescape(match: re.Match[str]) -> str:
    escape = match.group()
    if escape[1].isdigit():  # `ast` warns of the larger ones
        return chr(int(escape[1:], 8))
    return "" if escape.endswith("\n") else _escaped_character(escape)


@lru_cache(maxsize=4096)
def _escaped_character(escape: str) -> str:
    try:
        return str(ast.literal_eval(f"'{escape}'"))
    except SyntaxError as error:  # no such character
        raise NotAnObject(str(error)) from None
