"""The dialects that this server speaks, in one table."""

from __future__ import annotations

from .anthropic.dialect import AnthropicDialect
from .dialect import Dialect
from .glm.dialect import GLMDialect
from .ollama.dialect import OllamaDialect
from .openai.dialect import OpenAIDialect
from .responses.dialect import ResponsesDialect

DIALECTS: list[Dialect] = [AnthropicDialect(), GLMDialect(), OllamaDialect(), ResponsesDialect(), OpenAIDialect()]
"""The first dialect that owns a path reports its errors. The last one owns every path."""


def dialect_of(path: str) -> Dialect:
    """Returns the dialect for errors below `path`."""
    return next(dialect for dialect in DIALECTS if dialect.owns(path))
