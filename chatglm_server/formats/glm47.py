"""GLM-4.7 and GLM-4.7-Flash, and GLM-5 and 5.1, which write calls alike: nothing between roles, tags and text.

Layout: the chat template of zai-org/GLM-4.7-Flash. The prompt opens the thought, or closes it at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from ..chat import Thinking
from .base import THINK_END, THINK_START, Piece, Special
from .tagged.layout import TaggedFormat


class GLM47Format(TaggedFormat):
    """GLM-4.7 to 5.1. An answer without a thought begins with the bare end of one."""

    name: ClassVar[str] = "glm47"
    gap: ClassVar[str] = ""

    def thought(self, reasoning: str) -> Iterable[Piece]:
        return (Special(THINK_START), reasoning.strip(), Special(THINK_END)) if reasoning else (Special(THINK_END),)

    def opening(self, thinking: Thinking) -> Iterable[Piece]:
        return (Special(THINK_END) if thinking.wanted is False else Special(THINK_START),)
