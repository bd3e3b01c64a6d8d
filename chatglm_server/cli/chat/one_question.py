"""``chat -p TEXT`` and pipes: one question, and its answer on stdout."""

from __future__ import annotations

import sys
from typing import BinaryIO

from rich.console import Console

from ...chat import ToolCall
from ...errors import BadOption, ChatGLMServerError
from .chat import Chat, Person
from .interrupts import Stopped
from .plain_display import Display, PlainDisplay
from .terminal import Terminal

_MOST_BYTES = 8_000_000  # as many as a server's --max-body-mb


def read_question(prompt: str | None, piped: BinaryIO | None) -> str:
    """The question: `prompt`, and behind it all that comes through a pipe. Raises: BadOption."""
    data = b"" if piped is None else piped.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise BadOption(f"stdin: more than {_MOST_BYTES / 1e6:g} MB; no model reads that much")
    question = "\n\n".join(filter(None, [prompt, data.decode("utf-8", "replace").strip()]))
    if not question:
        raise BadOption("--prompt: there is nothing to ask, here and on stdin")
    return question


async def answer_once(chat: Chat, question: str, console: Console) -> int:
    """Answer a question: drawn on a terminal, else as nothing but text. Returns the exit status."""
    person: Person = Terminal(console) if console.is_terminal else Nobody()
    chat.conversation.ask(question)
    try:
        await chat.answer(person)
    except Stopped:
        return 130
    except ChatGLMServerError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    if chat.shortcoming:
        print(chat.shortcoming, file=sys.stderr)
    return 0


class Nobody:
    """Where nobody looks, no call is allowed."""

    def display(self) -> Display:
        return PlainDisplay(sys.stdout)

    async def allows(self, call: ToolCall) -> bool:
        return False

    def see_result(self, result: str) -> None:
        """Nobody looks."""
