"""The declared tools, and which of them a name in a model's text means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..chat import Tool
from .values.values import ArgumentValues

MAX_NAME = 256
"""Characters of a name; longer text before the first tag is prose."""
UNDECLARED = ArgumentValues(None)

_SEPARATOR = re.compile(r"[./:]+")
_PLAUSIBLE = re.compile(r"\w[\w./:-]*")


class DeclaredTools:
    """The tools of a request; None where it is not known what the request declared.

    Models write names with a namespace that was not declared (``functions.look``) or without one that was; both mean
    the declared tool, if there is only one that fits. An end of a name that is no part of its own is no match.
    """

    def __init__(self, tools: Sequence[Tool] | None) -> None:
        self.known = tools is not None
        self._tools = {tool.name: tool for tool in tools or ()}
        self._by_end: dict[str, set[str]] = {}
        for name in self._tools:
            for end in _ends(name):
                self._by_end.setdefault(end, set()).add(name)
        self._values: dict[str, ArgumentValues] = {}

    def declared(self, written: str) -> str | None:
        """The declared name that `written` means."""
        if written in self._tools:
            return written
        if len(written) > MAX_NAME:
            return None
        for end in _ends(written):
            if end in self._tools:
                return end
        fitting = self._by_end.get(written, ())
        return next(iter(fitting)) if len(fitting) == 1 else None

    def resolve(self, written: str) -> str | None:
        """The name of the call that `written` begins: the declared spelling, or any that may be a tool's name."""
        name = self.declared(written)
        if name is None and len(written) <= MAX_NAME and _PLAUSIBLE.fullmatch(written):
            return written
        return name

    def split(self, written: str) -> tuple[str, str] | None:
        """The name and the first argument's name, where the tag between them is missing; None if there are none.

        Either blanks stand there, or the longest declared name is it that leaves something for the argument.
        """
        words = written.split()
        if len(words) == 2:
            name = self.declared(words[0]) if self._tools else self.resolve(words[0])
            return None if name is None else (name, words[1])
        if len(words) != 1:
            return None
        parts = [(name, written[len(name) :]) for name in self._tools if written.startswith(name)]
        parts = sorted((part for part in parts if part[1]), key=lambda part: -len(part[0]))
        known = [part for part in parts if part[1] in self.values(part[0]).names]
        return next(iter(known or parts), None)

    def values(self, name: str) -> ArgumentValues:
        """How the arguments of the tool `name` are read."""
        if name not in self._tools:
            return UNDECLARED
        if name not in self._values:
            self._values[name] = ArgumentValues(self._tools[name].function.get("parameters"))
        return self._values[name]


def _ends(name: str) -> list[str]:
    """What follows each separator of `name`, longest first."""
    return [name[match.end() :] for match in _SEPARATOR.finditer(name) if match.end() < len(name)]
