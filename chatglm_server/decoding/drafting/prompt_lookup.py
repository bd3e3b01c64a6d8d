"""Drafts for text that repeats what was read: the answer goes on as the text went on where it was the same before.

The text is searched anew for each draft. Its tokens are the characters of a Python string. A search among 30,000 takes
25 µs, so no index is needed.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence

from .acceptance import Acceptance
from .base import Draft

MOST_TOKENS_KNOWN = sys.maxunicode + 1
"""Size of the largest vocabulary whose tokens are characters."""

_ENCODING = "utf-32-le" if sys.byteorder == "little" else "utf-32-be"
_KEYS = (3, 6, 12, 24)  # lengths of what is searched for; the longest that is found counts
_NEAR = 64  # tokens within which a copy goes on after an edit
_NEAR_KEY = 2  # length of what is searched for there
_SURE = 12  # agreeing tokens from which on drafts need no credit
_INCOME = 0.02  # other tokens that drafts may cost, for each token of the answer
_MOST_CREDIT = 4.0


class PromptLookup:
    """A drafter that copies from a prompt and the answer so far, from `prediction`, what the answer may be like, and
    from `others`, further texts.

    It follows one place of the text, the source, as long as the answer agrees with it. It then looks for the answer's
    last tokens first near that place, because edits are local, and then everywhere, the latest occurrence first.

    Wrong drafts cost time. Drafts that are not sure are made on credit, which right ones pay back; so they cost no more
    than a small part of an answer's time.
    """

    def __init__(self, prompt_length: int, prediction: Sequence[int] = (), others: Sequence[int] = ()) -> None:
        """`prediction` are tokens that the answer is expected to be like, from its first one on."""
        self._prompt_length = prompt_length
        self._text = _characters(others) + _characters(prediction)
        self._seen = 0  # tokens of prompt and answer in the text
        self._source = len(others) if prediction else None  # the place in the text that may come next
        self._agreed = 0  # tokens before it that the answer has, too
        self._left = 0  # where the answer left the last source
        self._acceptance = Acceptance()
        self._credit = 1.0

    def propose(self, tokens: Sequence[int], most: int) -> Draft:
        """As `Drafter.propose`."""
        self._read(tokens)
        if self._source is None:
            self._find()
        if self._source is None or (self._credit <= 0 and self._agreed < _SURE):
            return Draft()
        copied = self._text[self._source : self._source + most]
        copied = (copied * (most // len(copied) + 1))[:most]  # what reaches the end repeats itself
        chances = [self._acceptance.chance(self._agreed + place) for place in range(len(copied))]
        return Draft([ord(character) for character in copied], chances)

    def judge(self, read: int, right: int, price: float) -> None:
        """As `Drafter.judge`."""
        for place in range(min(right + 1, read)):
            self._acceptance.note(self._agreed + place, right=place < right)
        self._credit = min(_MOST_CREDIT, self._credit + right - price)

    def _read(self, tokens: Sequence[int]) -> None:
        """Append the tokens that are new, and follow the source along those of the answer."""
        prompt = tokens[self._seen : self._prompt_length]
        self._text += _characters(prompt)
        self._seen += len(prompt)
        for token in tokens[self._seen :]:
            character = chr(token)
            if self._source is not None:
                if self._text[self._source] == character:
                    self._source += 1
                    self._agreed += 1
                else:
                    self._left, self._source = self._source, None
            self._text += character
            self._credit = min(_MOST_CREDIT, self._credit + _INCOME)
        self._seen = len(tokens)

    def _find(self) -> None:
        """Look for a source."""
        text, end = self._text, len(self._text) - 1  # the last tokens themselves do not count
        if self._left:
            near = text.find(text[-_NEAR_KEY:], max(0, self._left - 1), min(end, self._left + _NEAR))
            if near >= 0:
                self._source, self._agreed = near + _NEAR_KEY, _NEAR_KEY
                return
        for length in _KEYS:
            found = text.rfind(text[-length:], 0, end)
            if found < 0:
                break
            end = self._source = found + length  # a longer key is found there or before
            self._agreed = length


def _characters(tokens: Sequence[int]) -> str:
    return array("I", tokens).tobytes().decode(_ENCODING, "surrogatepass")
