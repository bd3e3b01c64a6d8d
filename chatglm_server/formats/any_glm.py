"""The parser for a model that is known by name only, and may be a newer GLM than its name says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import Protocol, runtime_checkable

from ..chat import Tool
from .base import ChatFormat, OutputParser
from .inline.parser import TextParser
from .tagged.answer_text import TextWithCalls
from .tagged.parser import TaggedParser
from .tool_names import DeclaredTools


@runtime_checkable
class WritesCallsAsText(Protocol):
    """A format whose calls have no tags."""

    def text_parser(self, tools: Sequence[Tool], numbers: Iterator[int] | None = None) -> TextParser:
        """Returns a fresh parser of an answer without a thought. `numbers` numbers the calls."""
        ...


def any_glm_parser(
    chat_format: ChatFormat, tools: Sequence[Tool] = (), *, prompt_ends_in_think: bool = False
) -> OutputParser:
    """Returns a parser of one answer that reads the calls of `chat_format`, and tagged calls of declared tools.

    GLM-4.5 and later write tagged calls, and servers run them under names such as ``glm-4``. Where the format itself
    has tagged calls, or where no tools are declared, this is the format's own parser.
    """
    if not (tools and isinstance(chat_format, WritesCallsAsText)):
        return chat_format.parser(tools, prompt_ends_in_think=prompt_ends_in_think)
    numbers = count()
    return TaggedParser(
        DeclaredTools(tools, pass_undeclared=False),
        TextWithCalls(chat_format.text_parser(tools, numbers)),
        inside=prompt_ends_in_think,
        numbers=numbers,
    )
