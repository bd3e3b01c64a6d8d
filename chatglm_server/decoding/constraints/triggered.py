"""A constraint that holds in parts of an answer: from where something begins, such as a call, to its end."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ...model_files.tokenizer import Tokenizer
from .base import TokenMask
from .forced_prefix import ForcedPrefix
from .grammar import GrammarConstraint
from .grammars import Grammar

_MOST_TOKENS = 256  # of the beginning of a part


@dataclass(frozen=True, slots=True)
class Beginning:
    """A part begins: a sentence of `grammar`. Its first bytes, `text`, and the special tokens `special` behind them are
    already written.

    `leads`: another part may begin with the token that ends this one. If there are `openings`, the part begins only
    when the next token is one of them; `others` are the other tokens, as `TokenMask.others` returns them.
    """

    grammar: Grammar
    text: bytes = b""
    special: Sequence[int] = ()
    leads: bool = False
    openings: TokenMask | None = None
    others: int = 0


class Trigger(Protocol):
    """Finds where the parts begin. Answers share it."""

    @property
    def ready(self) -> bool:
        """False while it is still being made. Any thread may ask."""
        ...

    def find(self, tokens: Sequence[int]) -> Beginning | None:
        """The part that begins with the last of the answer's `tokens`, or behind it."""
        ...


GrammarOf = Callable[[str], Grammar]
"""The grammar of the parts of that name, compiled when it is first asked for. Raises: GrammarError."""


class TokenTrigger:
    """A part follows each token `start`: a sentence of `names`, a name and a special token. If that is `key`, the
    grammar of the name holds on.
    """

    ready = True

    def __init__(self, tokenizer: Tokenizer, start: int, names: Grammar, key: int, grammar_of: GrammarOf) -> None:
        self._tokenizer = tokenizer
        self._specials = frozenset(tokenizer.specials.values())
        self._start = start
        self._names = Beginning(names, leads=True)
        self._key = key
        self._grammar_of = grammar_of

    def find(self, tokens: Sequence[int]) -> Beginning | None:
        """Raises: GrammarError as `grammar_of`."""
        if tokens[-1] == self._start:
            return self._names
        text = self._name(tokens) if tokens[-1] == self._key else b""
        if not text:
            return None
        return Beginning(self._grammar_of(text.decode().removesuffix("\n")), text, (self._key,))

    def _name(self, tokens: Sequence[int]) -> bytes:
        """The bytes between the last two special tokens, if the first of the two is `start`; else none."""
        text = b""
        for token in reversed(tokens[-_MOST_TOKENS:-1]):
            if token in self._specials:
                return text if token == self._start else b""
            text = self._tokenizer.token_bytes(token) + text
        return b""


class TextTrigger:
    """A part begins where the text ends in a match of `pattern`. The sentence, of the grammar of the pattern's group
    `name`, begins with that, then `between`, then the group `body`, as for `CallsAfterText` of the formats. No text
    before `thought_end` counts, if there is one. Without a body, `openings` as for `Beginning`.
    """

    ready = True

    def __init__(
        self,
        tokenizer: Tokenizer,
        pattern: re.Pattern[str],
        last: str,
        between: str,
        grammar_of: GrammarOf,
        thought_end: str = "",
        openings: TokenMask | None = None,
    ) -> None:
        self._tokenizer = tokenizer
        self._specials = frozenset(tokenizer.specials.values())
        self._pattern = pattern
        self._last = tuple(char.encode() for char in last)
        self._between = between
        self._grammar_of = grammar_of
        self._thought_end = thought_end
        self._openings = openings
        self._others = 0 if openings is None else openings.others()

    def find(self, tokens: Sequence[int]) -> Beginning | None:
        """Raises: GrammarError as `grammar_of`."""
        word = self._tokenizer.token_bytes(tokens[-1])
        if not any(char in word for char in self._last):
            return None
        if self._thought_end and self._thought_end not in self._text(tokens):
            return None
        # The text may begin in the middle of a line: then nothing but a line break begins a line of it.
        text = "" if len(tokens) <= _MOST_TOKENS else "…"
        match = self._pattern.search(text + self._text(tokens[-_MOST_TOKENS:]))
        if match is None:
            return None
        grammar = self._grammar_of(match["name"])
        sentence = match["name"] + self._between + (match["body"] or "")
        if match["body"]:
            return Beginning(grammar, sentence.encode())
        return Beginning(grammar, sentence.encode(), openings=self._openings, others=self._others)

    def _text(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`. A special token ends a line: after it the model begins another."""
        words = (b"\n" if token in self._specials else self._tokenizer.token_bytes(token) for token in tokens)
        return b"".join(words).decode(errors="replace")


class _Part:
    """A part of an answer, from behind its first `start` tokens on."""

    def __init__(self, start: int, grammar: GrammarConstraint, beginning: Beginning) -> None:
        self.start = start
        self._grammar = grammar
        self._openings = beginning.openings
        self._others = beginning.others
        self._leads = beginning.leads
        self._declined = False

    def holds(self, once: bool) -> bool:
        """True unless the sentence may end here. If `once`, nothing but the answer's end follows it."""
        return not self._declined and (once or not self._grammar.complete)

    @property
    def leads(self) -> bool:
        """True if the sentence is complete, and another part may begin with its last token."""
        return self._leads and self._grammar.complete

    @property
    def _undecided(self) -> bool:
        return self._openings is not None and self._grammar.length == 0

    def fill(self, mask: TokenMask) -> None:
        self._grammar.fill(mask)
        if self._undecided:
            mask.allow_all(self._others)

    def forced(self) -> Sequence[int]:
        return () if self._undecided else self._grammar.forced()

    def accept(self, token: int) -> None:
        if self._openings is not None and self._undecided and token not in self._openings:
            self._declined = True
        else:
            self._grammar.accept([token])

    def rollback(self, length: int) -> None:
        """Go back to an answer of `length` tokens, not less than `start`. Mutates the part."""
        self._declined = self._declined and length > self.start
        self._grammar.rollback(max(0, self.start + self._grammar.length - length))


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
        self._parts: list[_Part] = []

    @property
    def ready(self) -> bool:
        return self._trigger.ready

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
                part.accept(token)
            if part is None or part.leads:
                self._begin_part()

    def rollback(self, count: int) -> None:
        length = len(self._tokens) - count
        if self._prefix is not None:
            opened = min(len(self._tokens), self._prefix.length)
            self._prefix.rollback(max(0, opened - length))
        del self._tokens[length:]
        while self._parts and self._parts[-1].start > length:
            self._parts.pop()
        if self._parts:
            self._parts[-1].rollback(length)

    def _opening(self) -> ForcedPrefix | None:
        return self._prefix if self._prefix is not None and not self._prefix.done else None

    def _part(self) -> _Part | None:
        """The part that holds here."""
        return self._parts[-1] if self._parts and self._parts[-1].holds(self._once) else None

    def _begin_part(self) -> None:
        found = self._trigger.find(self._tokens)
        if found is not None:
            grammar = found.grammar.constraint(samples_all=self._samples_all)
            if grammar.begin(found.text, found.special):
                self._parts.append(_Part(len(self._tokens), grammar, found))
