"""A constraint that holds in parts of an answer: from where something begins, such as a call, to its end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from ...model_files.tokenizer import Tokenizer
from .base import TokenMask
from .forced_prefix import ForcedPrefix
from .grammar import GrammarConstraint
from .grammars import Grammar

_MOST_TOKENS = 256  # of the beginning of a part


class Trigger(Protocol):
    """Finds where the parts begin. Stateless, so that answers share it."""

    def find(self, tokens: Sequence[int]) -> tuple[Grammar, bytes] | None:
        """The grammar of the part that begins with the last of the answer's `tokens`, and what of it they spell."""
        ...


class TokenTrigger:
    """A part follows each `token`."""

    def __init__(self, token: int, grammar: Grammar) -> None:
        self._token = token
        self._grammar = grammar

    def find(self, tokens: Sequence[int]) -> tuple[Grammar, bytes] | None:
        return (self._grammar, b"") if tokens[-1] == self._token else None


class TextTrigger:
    """A part begins where the text ends in a match of `pattern`. The grammar's sentence begins with the pattern's
    group `name`, then `between`, then the group `body`, as for `CallsAfterText` of the formats. No text before
    `thought_end` counts, if there is one.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        pattern: re.Pattern[str],
        last: str,
        between: str,
        grammar: Grammar,
        thought_end: str = "",
    ) -> None:
        self._tokenizer = tokenizer
        self._pattern = pattern
        self._last = last.encode()
        self._between = between
        self._grammar = grammar
        self._thought_end = thought_end

    def find(self, tokens: Sequence[int]) -> tuple[Grammar, bytes] | None:
        if self._last not in self._tokenizer.token_bytes(tokens[-1]):
            return None
        if self._thought_end and self._thought_end not in self._text(tokens):
            return None
        # The text may begin in the middle of a line: then nothing but a line break begins a line of it.
        text = "" if len(tokens) <= _MOST_TOKENS else "…"
        match = self._pattern.search(text + self._text(tokens[-_MOST_TOKENS:]))
        if match is None:
            return None
        return self._grammar, f"{match['name']}{self._between}{match['body']}".encode()

    def _text(self, tokens: Sequence[int]) -> str:
        return b"".join(map(self._tokenizer.token_bytes, tokens)).decode(errors="replace")


class TriggeredGrammar:
    """Any text, in which a grammar holds from each place that `trigger` finds to where a sentence may end.

    `prefix` holds first, if there is one. If `once`, the answer ends with the first sentence.

    A part whose beginning no sentence has, because the model wrote more with the same token, is left as it is.
    """

    done = False

    def __init__(
        self, trigger: Trigger, prefix: ForcedPrefix | None = None, *, once: bool = False, samples_all: bool = False
    ) -> None:
        self._trigger = trigger
        self._prefix = prefix
        self._once = once
        self._samples_all = samples_all
        self._tokens: list[int] = []
        self._parts: list[tuple[int, GrammarConstraint]] = []  # each with the number of tokens before it

    @property
    def free(self) -> bool:
        return self._opening() is None and self._part() is None

    def fill(self, mask: TokenMask) -> None:
        """Raises: RuntimeError as for `GrammarConstraint`."""
        part = self._opening() or self._part()
        if part is not None:
            part.fill(mask)

    def forced(self) -> Sequence[int]:
        part = self._opening() or self._part()
        return () if part is None else part.forced()

    def accept(self, tokens: Sequence[int]) -> None:
        """Raises: RuntimeError if a token is not allowed."""
        for token in tokens:
            opening, part = self._opening(), self._part()
            self._tokens.append(token)
            if opening is not None:
                opening.accept([token])
            if part is not None:
                part.accept([token])
            else:
                self._begin_part()

    def rollback(self, count: int) -> None:
        length = len(self._tokens) - count
        if self._prefix is not None:
            opened = min(len(self._tokens), self._prefix.length)
            self._prefix.rollback(max(0, opened - length))
        del self._tokens[length:]
        while self._parts and self._parts[-1][0] > length:
            self._parts.pop()
        if self._parts:
            start, part = self._parts[-1]
            part.rollback(max(0, start + part.length - length))

    def _opening(self) -> ForcedPrefix | None:
        return self._prefix if self._prefix is not None and not self._prefix.done else None

    def _part(self) -> GrammarConstraint | None:
        """The grammar that holds here."""
        if not self._parts:
            return None
        _, part = self._parts[-1]
        return None if part.complete and not self._once else part

    def _begin_part(self) -> None:
        found = self._trigger.find(self._tokens)
        if found is not None:
            grammar, text = found
            part = grammar.constraint(samples_all=self._samples_all)
            if part.begin(text):
                self._parts.append((len(self._tokens), part))
