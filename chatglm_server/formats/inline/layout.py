"""How a format writes calls into text: as data, and as patterns of a call's beginning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from ...chat import Tool

FENCE = r"```[ \t]{0,4}\w{0,16}"
"""A fence that opens a block. All repetitions in the patterns are bounded, because a text that may match is read again
and again while it grows."""
NAME_END = r"[ \t]{0,16}\r?\n"
"""The rest of the line behind a call's name."""
OBJECT = r"\{\s{0,64}[\"'}]"
"""How a JSON object or a Python dict begins. The parser waits for no other text in braces."""


@dataclass(frozen=True, slots=True)
class CallLayout:
    """How a format writes calls. Patterns are regular expressions; ``(?P=name)`` in `body` is the tool's name."""

    body: str
    """How the arguments of a declared tool begin, with an optional fence, up to their first bracket."""
    exact_body: str
    """The same as the model was trained to write it, behind the line with the tool's name."""
    read: Callable[[str], dict[str, Any]]
    """Reads the arguments in a body. Raises: NotAnObject."""
    undeclared_body: str | None = None
    """The same for names that nobody declared, which only the first line of a segment can hold; None: not a call."""
    interpreter: str | None = None
    """The name before a block of code."""
    interpreter_tools: tuple[str, ...] = ()
    """Declared tools that such code is a call of."""
    placeholders: tuple[tuple[str, str], ...] = ()
    """Fixed texts that the model was trained to write in place of others."""
    role_tokens: frozenset[str] = frozenset()
    """Special tokens that end the answer. ``<|assistant|>`` begins another segment of it; others mean nothing."""


def line_of(names: Iterable[str]) -> str:
    """A regular expression for a line that is one of `names`, to the end of its text or with its line break."""
    return rf"(?:\A|[\n`)}}])[ \t]{{0,16}}(?P<name>{names_pattern(names)}){NAME_END}"


class CallHeads:
    """Patterns of a call's beginning at the beginning of a line, up to the first bracket of its arguments.

    Their groups: `name` (of a declared tool) or `undeclared`, or neither for code; `body`, which begins the arguments;
    `header`, instead of all these, is a name before code that no tool takes.
    """

    def __init__(self, layout: CallLayout, tools: Sequence[Tool], *, exact: bool = False) -> None:
        """`exact`: calls of other tools, and calls not written as the model was trained to, have no pattern."""
        names = [tool.name for tool in tools if tool.name]
        by_name = {tool.name: tool for tool in reversed(tools)}
        self.interpreter = next((by_name[name] for name in layout.interpreter_tools if name in by_name), None)
        """The declared tool that takes code."""
        self.first_line = _pattern(layout, names, exact, first_line=True) if names or layout.interpreter else None
        """For the first line of a segment, where the format has the name; None if there is nothing to find."""
        self.later_line = _pattern(layout, names, exact, first_line=False) if names else None
        """For other lines; None if there is nothing to find."""


def names_pattern(names: Iterable[str]) -> str:
    """A regular expression for one of `names`."""
    return "|".join(map(regex.escape, sorted(names, key=len, reverse=True))) or "(?!)"


def _pattern(layout: CallLayout, names: Sequence[str], exact: bool, *, first_line: bool) -> Any:
    declared = names_pattern(names)
    # the whole call may stand in a fence that names a language; a fence that does not may close a block before it
    in_fence = r"(?:```[ \t]{0,4}\w{1,16}[ \t]{0,16}\r?\n[ \t]{0,16})?"
    # the name may stand in backticks, or have the namespace that other models write
    name = rf"(?P<tick>`{{0,2}})(?:functions\.)?(?P<name>{declared})(?P=tick)"
    heads = [rf"{in_fence}{name}\s{{0,16}}(?P<body>{layout.body})"]
    if exact:
        heads = [rf"(?P<name>{declared}){NAME_END}(?P<body>{layout.exact_body})"]
    line_end = r"[ \t]{0,16}\r?\n\s{0,16}"
    nothing = "(?!)"
    interpreters = [name for name in layout.interpreter_tools if name in names]
    if interpreters:
        # code without a fence counts only where the format has the name; a later line may be prose
        code = r"\S" if first_line else rf"{FENCE}[ \t]{{0,16}}\r?\n"
        spellings = "|".join(map(regex.escape, {str(layout.interpreter), *interpreters}))
        heads.insert(0, rf"(?:{spellings}){line_end}(?P<body>{code})")
    has_header = first_line and layout.interpreter and not interpreters
    header = rf"{regex.escape(str(layout.interpreter))}{line_end}(?=```)" if has_header else nothing
    heads.append(rf"(?P<header>{header})")
    if first_line and names and layout.undeclared_body and not exact:
        word = rf"(?!{layout.interpreter}[ \t]{{0,16}}\r?\n)(?P<undeclared>[\w/](?:[\w./:-]{{0,126}}\w)?)"
        heads.append(rf"{word}{line_end}(?P<body>{layout.undeclared_body})")
    else:
        heads.append(rf"(?P<undeclared>{nothing})")
    return regex.compile(rf"[ \t]{{0,16}}(?:{'|'.join(heads)})")
