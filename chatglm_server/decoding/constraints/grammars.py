"""Compiles grammars in llguidance's dialect of Lark, and keeps compiled ones for the next request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from threading import Lock

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from ...model_files.tokenizer import Tokenizer
from ...recent import Recent
from .base import TokenMask
from .grammar import GrammarConstraint
from .vocabulary import grammar_vocabulary

MOST_CHARACTERS = 300_000
"""Of one grammar. Compiled, a grammar takes about 30 times as many bytes."""
_KEPT_CHARACTERS = 1_000_000  # of all grammars that are kept

_EXCERPT = re.compile(r"\n\s*\d+ \| ")
_LIMITS = LLParserLimits(max_items_in_row=5_000, step_max_items=100_000, verbose_errors=False)
"""Its own limit of 2,000 items in a row ends an answer at the key of an object with 500 optional properties."""


class GrammarError(ValueError):
    """A grammar cannot be used; the message is one line."""


class Grammar:
    """A compiled grammar, for any number of answers."""

    def __init__(self, matcher: LLMatcher, vocabulary: LLTokenizer, end_tokens: Sequence[int]) -> None:
        self.warnings: list[str] = matcher.get_grammar_warnings()
        """The parts of a lenient schema that the grammar leaves out."""
        self.walked = False
        """True if masks of an example have been computed, so that those of answers come soon."""
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._end_tokens = end_tokens

    def constraint(self, *, samples_all: bool = False) -> GrammarConstraint:
        """A constraint for one answer. `samples_all` as for `GrammarConstraint`."""
        return GrammarConstraint(self._matcher.deep_copy(), self._vocabulary, self._end_tokens, samples_all=samples_all)


class Grammars:
    """The grammars of a model, compiled when they are first asked for. Any thread may ask.

    Of the compiled grammars those stay that were used last.
    """

    def __init__(self, tokenizer: Tokenizer, end_tokens: Iterable[int], vocab_size: int) -> None:
        """`vocab_size`: rows of logits. Sentences end with one of `end_tokens`."""
        self._tokenizer = tokenizer
        self._end_tokens = sorted(end_tokens)
        self._vocab_size = vocab_size
        self._vocabulary: LLTokenizer | None = None  # read on first use: it takes 0.8 seconds and 190 MB
        self._reading = Lock()
        self._compiled: Recent[str, Grammar] = Recent(_KEPT_CHARACTERS)
        self._beginning: dict[str, TokenMask] = {}

    def prepare(self) -> None:
        """Read the vocabulary, which takes 0.8 seconds, unless it is read. Mutates the grammars."""
        self._read_vocabulary()

    def compile(self, grammar: str) -> Grammar:
        """The compiled grammar of Lark text, the same object as long as it is kept. Raises: GrammarError."""
        known = self._compiled.get(grammar)
        if known is None:
            known = Grammar(self._matcher(grammar), self._read_vocabulary(), self._end_tokens)
            self._compiled.keep(grammar, known, len(grammar))
        return known

    def mask(self) -> TokenMask:
        """An empty mask for the model's tokens."""
        return TokenMask(self._vocab_size)

    def fails(self, grammar: str) -> str:
        """Why the Lark text cannot be compiled; "" if it can."""
        wrong, messages = LLMatcher.validate_grammar_with_warnings(grammar, self._read_vocabulary(), limits=_LIMITS)
        return one_line(messages[0]) if wrong else ""

    def beginning_with(self, text: str) -> TokenMask:
        """The tokens of plain text that begin with `text`, or are a beginning of it."""
        known = self._beginning.get(text)
        if known is None:
            known, data = self.mask(), text.encode()
            for token in range(self._vocab_size):
                word = self._tokenizer.token_bytes(token)
                if word and (word.startswith(data) or data.startswith(word)):
                    known.allow(token)
            self._beginning[text] = known
        return known

    def _matcher(self, grammar: str) -> LLMatcher:
        if len(grammar) > MOST_CHARACTERS:
            raise GrammarError(f"it has {len(grammar)} characters, and at most {MOST_CHARACTERS} are compiled")
        matcher = LLMatcher(self._read_vocabulary(), grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise GrammarError(one_line(matcher.get_error()))
        matcher.compute_bitmask()  # limits that the first token would spend
        if matcher.is_error():
            raise GrammarError(one_line(matcher.get_error()))
        return matcher

    def _read_vocabulary(self) -> LLTokenizer:
        with self._reading:
            if self._vocabulary is None:
                self._vocabulary = grammar_vocabulary(self._tokenizer, self._end_tokens, self._vocab_size)
            return self._vocabulary


def one_line(error: str) -> str:
    """llguidance's message without the excerpt of the grammar behind it."""
    if error.startswith("NoExtension"):
        return "no text fits it"
    return " ".join(_EXCERPT.split(error)[0].split())[:300]
