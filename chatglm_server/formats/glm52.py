"""GLM-5.2: the layout of GLM-4.7 with the effort of thinking in front, and tools as bare functions.

Layout: the chat template of zai-org/GLM-5.2.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from ..chat import Thinking, Tool
from .base import THINK_END, THINK_START, Piece, Special
from .tagged.layout import SYSTEM, TaggedFormat

_UNTOLD = ("strict", "defer_loading")


class GLM52Format(TaggedFormat):
    """GLM-5.2. It keeps thoughts unchanged, with their blanks. An answer without one has an empty one."""

    name: ClassVar[str] = "glm52"
    gap: ClassVar[str] = ""

    def head(self, thinking: Thinking) -> Iterable[Piece]:
        """Says the effort: the template knows High, and writes Max for all other values."""
        if thinking.wanted is False:
            return ()
        return (SYSTEM, f"Reasoning Effort: {'High' if thinking.effort == 'high' else 'Max'}")

    def thought(self, reasoning: str) -> Iterable[Piece]:
        return (Special(THINK_START), reasoning, Special(THINK_END))

    def opening(self, thinking: Thinking) -> Iterable[Piece]:
        start, end = Special(THINK_START), Special(THINK_END)
        return (start, end) if thinking.wanted is False else (start,)

    def declaration(self, tool: Tool) -> dict[str, Any] | None:
        if tool.function.get("defer_loading"):
            return None
        return {key: value for key, value in tool.function.items() if key not in _UNTOLD}
