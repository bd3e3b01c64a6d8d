"""A conversation as rounds of question and answer, for the models before ChatGLM3. They have no roles."""

from __future__ import annotations

from collections.abc import Sequence

from ..chat import Message
from .base import CannotRender


def numbered_rounds(messages: Sequence[Message]) -> list[tuple[str, str | None]]:
    """Returns (question, answer) of every round. The last answer is None: the model is to write it.

    The layout has no place for system messages, so they go in front of the next question.

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
