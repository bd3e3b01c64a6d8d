"""How calls begin in a format, and the grammar that holds from there on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .values.lark import nested


@dataclass(frozen=True, slots=True)
class CallsAfterToken:
    """The special token `token` begins every call; `grammar` is Lark text for the rest of one call of any tool."""

    token: str
    grammar: str

    def first(self, lead: str, answer: str) -> str:
        """A Lark expression for an answer that is a call, or `answer`, behind `lead`."""
        return f"{lead} ({answer} | {self.token} {nested(self.grammar)})"


@dataclass(frozen=True, slots=True)
class CallsAfterText:
    """A text that ends in a match of `pattern` is the beginning of a call.

    `grammar` is Lark text for one call of any tool: its name, which is the pattern's group `name`, then `between`, and
    what begins with the group `body`. Before the text `thought_end`, if there is one, nothing is a call. The pattern's
    matches end with one of the characters `last`, but for 64 characters: only where one comes up it is tried.

    With `opening`, a character, the group `body` may also be missing. It is a call if that character follows.
    """

    pattern: re.Pattern[str]
    last: str
    between: str
    grammar: str
    thought_end: str = ""
    opening: str = ""

    def first(self, lead: str, answer: str) -> str:
        """A Lark expression for an answer that is a call, or `answer` behind `lead`. A thought is before both."""
        call = nested(self.grammar)
        return f"{lead} ({answer} | {call})" if self.thought_end else f"{lead} {answer} | / ?/ {call}"


CallGrammar = CallsAfterToken | CallsAfterText
