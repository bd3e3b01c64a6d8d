"""Calls between ``<tool_call>`` tags without the tags of arguments: JSON, or ``key=value`` pairs."""

from __future__ import annotations

import re
from io import StringIO
from typing import ClassVar

from ...chat import FinishReason
from ...json_text import NotAnObject, dump_object
from ..inline.named_object import read_named_object
from ..inline.python_calls import read_json_call
from ..scanning.brackets import BracketScanner
from .call import Call, Outcome, Phase
from .tags import CALL_END, CALL_START

BODY_HEAD = re.compile(r"\s*(?:(?P<name>[^\s{}<>\"'=\[]+)(?:\s|\\n|>)*)?(?P<json>\{\s*[\"'}]|\[\s*\{\s*[\"'])")
"""How JSON in place of tags begins: an object with the name in it, or the name and the arguments."""
PAIRS_HEAD = re.compile(r"\s*(?P<name>[^\s{}<>\"'=\[]+)\s+(?P<pairs>[^\s=\"'<>{}]+=)")
"""How ``name key=value`` begins."""

_PAIR = re.compile(r"""\s*(?P<key>[^\s="'<>{},]+)=(?P<value>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s"',]*)(?:\s|,|$)""")


class JsonBody:
    """JSON up to its last bracket. With the name "" the JSON itself holds the name."""

    ends_call: ClassVar[bool] = False

    def __init__(self, call: Call, name: str) -> None:
        self._call, self._name = call, name
        self._text, self._scanner = StringIO(), BracketScanner()

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        if is_tag and part in (CALL_START, CALL_END) and not self._scanner.in_string:
            return self._call.broken(part)
        end = self._scanner.feed(part)
        self._text.write(part[:end])
        if end is None:
            return self
        return AfterBody(self._call, self._name, self._text.getvalue()).feed(part[end:], False)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._call.not_a_call()


class AfterBody:
    """Follows the last bracket of `text`."""

    ends_call: ClassVar[bool] = True

    def __init__(self, call: Call, name: str, text: str) -> None:
        self._call, self._name, self._text = call, name, text

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        if is_tag:
            return self._finish(closed=True) if part == CALL_END else self._call.broken(part)
        return self._call.broken() if part.strip() else self

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._finish(closed=False)

    def _finish(self, *, closed: bool) -> Outcome:
        call = self._call
        try:
            if self._name:
                name, arguments = self._name, read_json_call(self._text)
            else:
                written, arguments = read_named_object(self._text)
                name = call.tools.resolve(written) or ""
            text = dump_object(arguments)
        except NotAnObject:
            return call.not_a_call()
        whole = closed or (call.tools.declared(name) == name and call.tools.values(name).are_satisfied(arguments))
        if not name or not whole:
            return call.not_a_call()
        call.repaired("JSON in place of tags")
        if not closed:
            call.repaired("missing </tool_call>")
        call.start(name, name)
        call.send(text)
        return call.conclude()


class Pairs:
    """``key=value`` pairs up to the call's end."""

    ends_call: ClassVar[bool] = False

    def __init__(self, call: Call, name: str, text: str) -> None:
        self._call, self._name, self._text = call, name, [text]

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        call = self._call
        if not is_tag:
            self._text.append(part)
            return self
        try:
            pairs = read_pairs("".join(self._text)) if part == CALL_END else {}
        except NotAnObject:
            pairs = {}
        if not pairs:
            return call.broken(part)
        call.repaired("key=value in place of tags")
        call.start(self._name, self._name)
        for key, value in pairs.items():
            call.open(key)
            call.add(value)
            call.close()
        return call.finish()

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._call.not_a_call()


def read_pairs(text: str) -> dict[str, str]:
    """Returns the values, as text, of ``key=value key='more words'``.

    Raises: NotAnObject if `text` holds anything else.
    """
    pairs: dict[str, str] = {}
    at = 0
    while at < len(text):
        match = _PAIR.match(text, at)
        if match is None:
            if text[at:].strip():
                raise NotAnObject("more than pairs")
            break
        value = match["value"]
        pairs.setdefault(match["key"], value[1:-1] if value[:1] in ("'", '"') else value)
        at = match.end()
    return pairs
