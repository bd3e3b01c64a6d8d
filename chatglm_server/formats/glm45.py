"""GLM-4.5, GLM-4.5-Air and GLM-4.6: a line break between roles, tags and text; thinks unless ``/nothink`` is asked for.

Layout: the chat template of zai-org/GLM-4.5. The model opens its thought itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ..chat import Thinking
from .base import THINK_END, THINK_START, Piece, Prompt, Special, ThinkingSupport
from .tagged.layout import NO_THINKING, TaggedFormat

_EMPTY_THOUGHT = (Special(THINK_START), Special(THINK_END))


class GLM45Format(TaggedFormat):
    """GLM-4.5 and 4.6. The template drops the thoughts of earlier turns in any case."""

    name: ClassVar[str] = "glm45"
    gap: ClassVar[str] = "\n"
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport(on=True)

    def question(self, text: str, thinking: Thinking) -> Iterable[Piece]:
        if thinking.wanted is False and not text.endswith(NO_THINKING):
            return (text, Special(NO_THINKING))
        return (text,)

    def thought(self, reasoning: str) -> Iterable[Piece]:
        return (Special(THINK_START), reasoning.strip(), Special(THINK_END))

    def opening(self, thinking: Thinking) -> Iterable[Piece]:
        return (self.gap, *_EMPTY_THOUGHT) if thinking.wanted is False else ()

    def answer_lead(self, prompt: Prompt) -> str:
        """The model may begin with a thought, unless the prompt has an empty one."""
        if prompt.pieces[-1] == Special(THINK_END):
            return super().answer_lead(prompt)
        return rf"lead: (/\n?/ {THINK_START} /(?s:.*)/ {THINK_END})? /\n?/" + "\n"

    def unthought(self, prompt: Prompt) -> Iterable[Piece]:
        return () if prompt.pieces[-1] == Special(THINK_END) else (self.gap, *_EMPTY_THOUGHT)
