"""How a stream ends, however it is sent: with the dialect's last event, or with an error."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from ...errors import INTERNAL_ERROR, ChatGLMServerError
from ..dialect import Dialect, StreamEvent
from .internal_errors import log_internal_error


async def with_end(events: AsyncGenerator[StreamEvent, None], dialect: Dialect) -> AsyncGenerator[StreamEvent, None]:
    """Yields `events`, then the dialect's end; an error on the way is the last event. Closes `events`."""
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except ChatGLMServerError as error:
        yield dialect.error_event(error)
    except Exception as error:
        log_internal_error(error)
        yield dialect.error_event(ChatGLMServerError(INTERNAL_ERROR))
    else:
        if dialect.stream_end is not None:
            yield dialect.stream_end
