"""Tells the log that a backend's text held tool calls in tags that were left as text."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from urllib.parse import quote

from ...chat import ParserEvent, TextDelta
from ...formats.tagged.tags import CALL_START

MAX_MODELS = 100
READS_TAGS = "glm47"
"""The format to recommend: it reads the tags of GLM-4.5 and later."""

_log = logging.getLogger("chatglm_server")


class UnreadTagLog:
    """Writes one line for each model."""

    def __init__(self) -> None:
        self._models: set[str] = set()

    def watch(self, model: str, format_name: str | None) -> UnreadTagWatch:
        """Returns a watch over the text of one answer of `model`, read in the format of that name, if any."""
        return UnreadTagWatch(self, model, format_name)

    def report(self, model: str, format_name: str | None) -> None:
        """Writes the line, unless it was written for this model."""
        if model in self._models or len(self._models) >= MAX_MODELS:
            return
        self._models.add(model)
        why = "is not a GLM by its name" if format_name is None else f"was read as {format_name}"
        _log.warning(
            "an answer of model %s holds %s, which was left as text because the model %s; --chat-format %s reads such "
            "calls",
            quote(model, safe="/:.@")[:100],
            CALL_START,
            why,
            READS_TAGS,
        )


class UnreadTagWatch:
    """Looks for the tag in the text that is left after parsing."""

    def __init__(self, log: UnreadTagLog, model: str, format_name: str | None) -> None:
        self._log = log
        self._model = model
        self._format_name = format_name
        self._tail = ""  # a tag may begin in one event and end in the next
        self._found = False

    def see(self, events: Iterable[ParserEvent]) -> None:
        """Looks at what goes to the client. Mutates the watch."""
        for event in events:
            if self._found or not isinstance(event, TextDelta):
                continue
            text = self._tail + event.text
            self._tail = text[1 - len(CALL_START) :]
            if CALL_START in text:
                self._found = True
                self._log.report(self._model, self._format_name)
