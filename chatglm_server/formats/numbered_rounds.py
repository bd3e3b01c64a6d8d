"""A conversation as rounds of question and answer, for the models before ChatGLM3, which know no roles."""

from __future__ import annotations

from collections.abc import Sequence

from ..chat import Message
from .base import CannotRender


def numbered_rounds(messages: Sequence[Message]) -> list[tuple[str, str | None]]:
    """(question, answer) of every round; the last one's answer is None: it is to be written.

    System messages, which the layout has no place for, go in front of the next question, so that they are not lost.

    Raises: CannotRender for tool calls and results.
    """
    result: list[tuple[str, str | None]] = []
    question: list[str] = []
    for number, message in enumerate(messages):
        if message.role == "tool" or message.tool_calls:
            raise CannotRender(
                "this model was not trained with tools, so the conversation must not hold tool calls or their results",
                f"messages[{number}]",
            )
        if message.role == "assistant":
            result.append(("\n\n".join(question), message.content))
            question = []
        else:
            question.append(message.content)
    result.append(("\n\n".join(question), None))
    return result
