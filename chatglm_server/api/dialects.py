"""The dialects that this server speaks, in one table."""

from __future__ import annotations

from .dialect import Dialect
from .glm.dialect import GLMDialect
from .openai.dialect import OpenAIDialect

DIALECTS: list[Dialect] = [GLMDialect(), OpenAIDialect()]
"""The first one that owns a path says its errors; the last one owns all."""


def dialect_of(path: str) -> Dialect:
    """The dialect that errors below `path` are said in."""
    return next(dialect for dialect in DIALECTS if dialect.owns(path))
