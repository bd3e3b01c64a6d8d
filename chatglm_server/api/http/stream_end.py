"""How a stream ends, however it is sent: with the dialect's last event, or with an error."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ...errors import INTERNAL_ERROR, ChatGLMServerError
from ..dialect import AnswerShape, Dialect, StreamEvent
from .internal_errors import log_internal_error


async def with_end(
    events: AsyncGenerator[StreamEvent, None], dialect: Dialect, shape: AnswerShape
) -> AsyncGenerator[StreamEvent, None]:
    """Yields `events`, then the dialect's end. An error on the way is the last event, as `shape` has it, or else the
    dialect. Closes `events`.
    """

    def failure(error: ChatGLMServerError) -> StreamEvent:
        return shape.failed(error) or dialect.error_event(error)

    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except ChatGLMServerError as error:
        yield failure(error)
    except Exception as error:
        log_internal_error(error)
        yield failure(ChatGLMServerError(INTERNAL_ERROR))
    else:
        if dialect.stream_end is not None:
            yield dialect.stream_end
