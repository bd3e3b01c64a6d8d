"""Names of models as clients say them: in any case, and with the tag of Ollama's lists or without."""

from __future__ import annotations

LATEST = ":latest"
"""The tag that Ollama gives to names that have none. Some clients list by its API and then ask by OpenAI's."""


def untagged(name: str) -> str:
    """The name without that tag."""
    return name[: -len(LATEST)] if name.lower().endswith(LATEST) else name


def plain(name: str) -> str:
    """The form in which all names of one model are equal."""
    return untagged(name).lower()
