"""Other spellings of what an answer may repeat: a file without its line numbers, and with or without JSON's escapes.

Tools number the lines of files that they show, or put files into JSON. Answers write them without numbers, and inside
JSON with escapes. Its tokens are others then, so a drafter finds little of it in the prompt.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

_NUMBER = re.compile(r"^ *\d+(?:\t|→|:|\| ?)", re.MULTILINE)
_NUMBERED = re.compile(rf"(?:{_NUMBER.pattern}.*\n?){{3,}}", re.MULTILINE)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"?')  # matches wherever a quotation mark is, so that no text is read twice
_LINES = 3  # of a string in JSON that is worth another spelling


def other_spellings(texts: Iterable[str], most: int, *, in_json: bool) -> list[str]:
    """What the answer may copy instead of `texts`, in their order; only of the last ones, `most` characters in all.

    `in_json`: the answer may write it inside JSON.
    """
    spelled: list[str] = []
    for text in reversed(list(texts)):
        spelled += reversed(list(_spellings(text[:most], in_json)))
        most -= len(text)
        if most <= 0:
            break
    return spelled[::-1]


def _spellings(text: str, in_json: bool) -> Iterator[str]:
    for plain in (text, *_json_strings(text)):
        bare = _NUMBERED.sub(lambda block: _NUMBER.sub("", block[0]), plain)
        if bare != text:
            yield bare
        if in_json and "\n" in bare:
            yield json.dumps(bare, ensure_ascii=False)[1:-1]


def _json_strings(source: str) -> Iterator[str]:
    """The values of strings in JSON that hold some lines."""
    for found in _STRING.finditer(source):
        if found[0].count("\\n") >= _LINES:
            try:
                text = json.loads(found[0])
                text.encode()
            except ValueError:  # no JSON, or half of a character
                continue
            yield text
