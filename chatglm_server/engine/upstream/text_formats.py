"""Chooses the format in which a backend's text is read, by the model's name and the server's options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...chat import Tool
from ...errors import InvalidRequest
from ...formats.any_glm import any_glm_parser
from ...formats.base import ChatFormat, OutputParser
from ...formats.registry import FORMATS, format_of_model
from ...formats.scanning.markers import SpecialTokenScanner
from ...formats.thinking import ThinkingParser
from ..output import Output, PlainText
from .text_reader import TextReader
from .unread_tags import UnreadTagLog


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """How to read the backend's text, and how to tell it of tools."""

    chat_format: str = "auto"
    """Name in the registry, or "auto": the model's name decides."""
    tools: Literal["native", "text"] = "native"
    think_filter: bool = False
    """True to take ``<think>…</think>`` out of the text of models that are not GLM, too."""
    open_think: bool = False
    """True if text begins inside a thought, because the prompt ended in ``<think>``."""


class TextFormats:
    """Makes the readers of answers; one for each server."""

    def __init__(self, options: UpstreamOptions) -> None:
        self._options = options
        self._unread_tags = UnreadTagLog()

    def name(self, *models: str) -> str | None:
        """Returns the name of the format: the option's, or that of the first of `models` that is a GLM model's name."""
        if self._options.chat_format != "auto":
            return self._options.chat_format
        return next((name for name in map(format_of_model, models) if name), None)

    def to_write(self, model: str) -> ChatFormat:
        """Returns the format that tools are written in. Raises: InvalidRequest."""
        name = self.name(model)
        if name is None:
            raise InvalidRequest(
                f"{model!r} is not the name of a GLM model, so the server cannot know how it writes tools as text; "
                "start the server with --chat-format or with --upstream-tools native",
                param="model",
            )
        return FORMATS[name]

    def reader(
        self, asked: str, tools: Sequence[Tool], parallel_tool_calls: bool, served: str, thoughts_came: bool
    ) -> TextReader:
        """Returns the reader for the text of a model that the client calls `asked` and the backend `served`.

        If `thoughts_came` by themselves, the text does not begin in one. Special tokens are looked for only if there
        are tools: without tools, they can only be what the text is about.
        """
        name = self.name(asked, served)
        open_think = self._options.open_think and not thoughts_came
        specials: Sequence[str] = ()
        parser: OutputParser = PlainText()
        if name is not None:
            parser = any_glm_parser(FORMATS[name], tools, prompt_ends_in_think=open_think)
            specials = FORMATS[name].special_tokens if tools else ()
        elif self._options.think_filter:
            parser = ThinkingParser(parser, inside=open_think)
        output = Output(parser, parallel_tool_calls=parallel_tool_calls)
        watch = self._unread_tags.watch(asked or served, name) if tools else None
        return TextReader(output, SpecialTokenScanner(specials), watch)


def plain_reader() -> TextReader:
    """Returns the reader of bare completions, whose text is passed on as it is."""
    return TextReader(Output(PlainText()), SpecialTokenScanner(()))
