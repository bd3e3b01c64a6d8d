"""Answers that go on from text that the client has already."""

from __future__ import annotations

from ..chat import ChatRequest, Message
from ..errors import InvalidRequest


def beginning_of(request: ChatRequest) -> Message | None:
    """The last message, if the answer goes on from it: always if it is text of the assistant and nobody says otherwise.

    Raises: InvalidRequest.
    """
    last = request.messages[-1]
    if request.continues is False or (request.continues is None and not _is_text(last)):
        return None
    if not _is_text(last):
        raise InvalidRequest("only text of the assistant in the last message can be continued", param="continues")
    if request.tool_choice.mode in ("required", "named"):
        raise InvalidRequest("an answer that goes on from text cannot begin with a call", param="tool_choice")
    return last


def _is_text(message: Message) -> bool:
    return message.role == "assistant" and bool(message.content.strip()) and not message.tool_calls
