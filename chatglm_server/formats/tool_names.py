"""The declared tools, and which of them a name in a model's text means."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..chat import Tool
from .values.values import UNDECLARED, ArgumentValues

MAX_NAME = 256
"""Characters of a name. Longer text before the first tag is prose."""
MAX_HEAD = 2 * MAX_NAME
"""Characters that may stand where a name belongs, blanks included."""

_SEPARATOR = re.compile(r"[./:]+")
_PLAUSIBLE = re.compile(r"\w[\w./:-]*")


class DeclaredTools:
    """The tools of a request. None: it is unknown which tools the request declared.

    Models write names with a namespace that was not declared (``functions.look``) or without one that was. Both mean
    the declared tool if only one fits. Only a whole part of a name is a match.

    `pass_undeclared`: a name that is not declared may be a call all the same, which the client gets to see.
    """

    def __init__(self, tools: Sequence[Tool] | None, *, pass_undeclared: bool = True) -> None:
        self.known = tools is not None
        self._pass_undeclared = pass_undeclared
        self._tools = {tool.name: tool for tool in tools or ()}
        self._by_end: dict[str, set[str]] = {}
        for name in self._tools:
            for end in _ends(name):
                self._by_end.setdefault(end, set()).add(name)
        self._values: dict[str, ArgumentValues] = {}

    def declared(self, written: str) -> str | None:
        """Returns the declared name that `written` means, or None."""
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
        """Returns the tool's name if a call may begin with `written`: the declared spelling, or `written` itself."""
        name = self.declared(written)
        if name is None and self._pass_undeclared and len(written) <= MAX_NAME and _PLAUSIBLE.fullmatch(written):
            return written
        return name

    def before_body(self, written: str) -> str | None:
        """The same for a name before arguments without tags, which may be prose: known tools must include it."""
        return self.declared(written) if self.known else self.resolve(written)

    def split(self, written: str) -> tuple[str, str] | None:
        """Splits text that lacks the tag between the tool's name and the first argument's name, or returns None.

        Either blanks stand between them, or `written` begins with a declared name: the longest one whose rest is a
        declared argument, or else the longest one.
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
        """Returns how the arguments of the tool `name` are read."""
        if name not in self._tools:
            return UNDECLARED
        if name not in self._values:
            self._values[name] = ArgumentValues(self._tools[name].function.get("parameters"))
        return self._values[name]


class PossibleName:
    """Text where a tool's name belongs, as long as it may be a single word."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, text: str) -> bool:
        """Returns whether it can still be a name. Mutates it."""
        self.text += text if self.text else text.lstrip()
        return len(self.text) <= MAX_HEAD and len(self.text.split(None, 1)) < 2


def _ends(name: str) -> list[str]:
    """Returns what follows each separator of `name`, longest first."""
    return [name[match.end() :] for match in _SEPARATOR.finditer(name) if match.end() < len(name)]
