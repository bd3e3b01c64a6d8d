"""How calls begin in a format, and the grammar that holds from there on."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .values.lark import nested


@dataclass(frozen=True, slots=True)
class CallGrammar:
    """Lark text for one call of any of some tools.

    `foreign` are the expressions in it that come from clients' schemas as they are. If these can be compiled, it can.
    """

    text: str
    foreign: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallsAfterToken:
    """The special token `token` begins every call; the grammar of a call is for what follows it.

    `names` is Lark text for the name of a tool and the special token behind it: `key`, behind which its arguments
    follow, or the end of a call that has none.
    """

    token: str
    names: str
    key: str

    def first(self, lead: str, answer: str, grammar: str) -> str:
        """A Lark expression for an answer that is a call by `grammar`, or `answer`, behind `lead`."""
        return f"{lead} ({answer} | {self.token} {nested(grammar)})"


@dataclass(frozen=True, slots=True)
class CallsAfterText:
    """A text that ends in a match of `pattern` is the beginning of a call.

    The grammar of a call begins with the name, which is the pattern's group `name`, then `between`, and what begins
    with the group `body`. Before the text `thought_end`, if there is one, nothing is a call. The pattern's matches end
    with one of the characters `last`, but for 64 characters: only where one comes up it is tried.

    With `opening`, a character, the group `body` may also be missing. It is a call if that character follows.
    """

    pattern: re.Pattern[str]
    last: str
    between: str
    thought_end: str = ""
    opening: str = ""

    def first(self, lead: str, answer: str, grammar: str) -> str:
        """A Lark expression for an answer that is a call by `grammar`, or `answer` behind `lead`. A thought is before
        both.
        """
        call = nested(grammar)
        return f"{lead} ({answer} | {call})" if self.thought_end else f"{lead} {answer} | / ?/ {call}"


CallBeginning = CallsAfterToken | CallsAfterText
