"""Text as llguidance's dialect of Lark writes it."""

from __future__ import annotations

import json
from collections.abc import Iterable


def lark_string(text: str) -> str:
    """`text` as a word of a grammar. In one, the delete character must be escaped, other than in JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def nested(grammar: str) -> str:
    """An expression for the sentences of `grammar`, whose rules no other grammar sees."""
    return f"%lark {{\n{grammar.removeprefix('%llguidance {}')}\n}}"


def alternatives(expressions: Iterable[str]) -> str:
    """The grammar of the sentences of any of `expressions`."""
    return "start: " + "\n  | ".join(expressions) + "\n"


def lark_json_string(text: str) -> str:
    """The JSON string `text`, quotes included, as a word of a grammar."""
    return lark_string(json.dumps(text, ensure_ascii=False))
