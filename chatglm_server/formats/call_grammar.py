"""How calls begin in a format, and the grammar that holds from there on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallsAfterToken:
    """The special token `token` begins every call; `grammar` is Lark text for the rest of one call of any tool."""

    token: str
    grammar: str


@dataclass(frozen=True, slots=True)
class CallsAfterText:
    """A text that ends in a match of `pattern` is the beginning of a call.

    Its group `name` is the tool's; `grammars` has Lark text for each tool, for what begins with the group `body`.
    Before the text `thought_end`, if there is one, nothing is a call. `last` is a character that every match of the
    pattern's beginning ends with: only where it comes up the pattern is tried.
    """

    pattern: re.Pattern[str]
    last: str
    grammars: Mapping[str, str]
    thought_end: str = ""


CallGrammar = CallsAfterToken | CallsAfterText
