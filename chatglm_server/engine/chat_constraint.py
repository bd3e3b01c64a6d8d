"""All that the tokens of a chat's answer are held to, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..decoding.constraints.base import Constraint
from ..decoding.constraints.forced_prefix import ForcedPrefix
from ..decoding.constraints.grammars import Grammar
from ..decoding.constraints.thought_budget import ThoughtBudget
from ..decoding.constraints.triggered import Trigger, TriggeredGrammar
from ..errors import InvalidRequest
from ..formats.base import THINK_END, THINK_START
from ..model_files.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class ThoughtLimit:
    """A thought of more than `budget` tokens is ended by the tokens `closing`. `inside`: the prompt has opened it."""

    budget: int
    closing: Sequence[int]
    inside: bool


@dataclass(frozen=True, slots=True)
class ChatConstraint:
    """What each answer to a request is held to.

    `grammar` is that of the whole answer, `calls` finds those of its calls. The answer begins with one of `openings`,
    if there are any, or goes on from the tokens `begun`. `one_call`: it ends with its first call. `samples_all`: forced
    tokens are sampled too.
    """

    tokenizer: Tokenizer
    grammar: Grammar | None
    calls: Trigger | None
    openings: Sequence[Sequence[int]]
    begun: Sequence[int]
    thought: ThoughtLimit | None
    one_call: bool
    samples_all: bool

    def fresh(self) -> Constraint | None:
        """The constraint of one answer. Raises: InvalidRequest if no answer goes on from what has begun."""
        made = self._limited(self._held())
        if made is not None and self.begun:
            try:
                made.accept(self.begun)
            except RuntimeError:
                message = "the last message does not begin as the answer has to"
                raise InvalidRequest(message, param="messages") from None
        return made

    def _held(self) -> Constraint | None:
        opening = ForcedPrefix(self.openings) if self.openings else None
        if self.grammar is not None and opening is None:
            return self.grammar.constraint(samples_all=self.samples_all)
        if self.calls is None:
            return opening
        return TriggeredGrammar(self.calls, opening, once=self.one_call, samples_all=self.samples_all)

    def _limited(self, inner: Constraint | None) -> Constraint | None:
        """An opening ends the thought itself."""
        if self.thought is None or self.openings:
            return inner
        return ThoughtBudget(
            self.tokenizer,
            self.thought.budget,
            self.thought.closing,
            (THINK_START, THINK_END),
            inside=self.thought.inside,
            inner=inner,
            samples_all=self.samples_all,
        )
