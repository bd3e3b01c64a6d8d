"""Ollama's answers, whole or as the lines of a stream."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timezone

from typing_extensions import assert_never

from ...answer import Answer, AnsweredCall
from ...chat import (
    AnswerEvent,
    AnswerWritten,
    Finish,
    PromptRead,
    ReasoningDelta,
    TextDelta,
    TokenSampled,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallRepaired,
    ToolCallStart,
)
from ...errors import ChatGLMServerError
from ...json_text import NotAnObject, dump_object, load_object
from ..dialect import AnswerShape, Json, StreamEvent
from ..openai.logprobs import MAX_TOKENS_HELD, chat_logprobs


class ChatAnswer(AnswerShape):
    """The answer to a conversation.

    `model`: the name that the client asked for. `started`: when, by `time.perf_counter`. `shows_thoughts`: false
    leaves them out.
    """

    def __init__(self, model: str, started: float, *, shows_thoughts: bool) -> None:
        self._model = model
        self._started = started
        self._shows_thoughts = shows_thoughts
        self._calls: dict[int, AnsweredCall] = {}  # by their number in the stream
        self._tokens: list[TokenSampled] = []  # not yet sent
        self._over = False

    # ---- whole ----

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The response to a client that does not stream."""
        (answer,) = answers
        thinking = answer.reasoning if self._shows_thoughts else ""
        calls, broken = _read_calls(answer.tool_calls)
        self._tokens = answer.tokens
        return self._last(answer.finished(), self.part(answer.content + broken, thinking, calls))

    # ---- as a stream ----

    def add(self, event: AnswerEvent) -> Iterator[StreamEvent]:
        """The lines that `event` becomes. Mutates the shape.

        Calls wait for the answer's end: a line holds whole calls, and another server may write several at a time.
        """
        if isinstance(event, TextDelta):
            yield self._line(event.text)
        elif isinstance(event, ReasoningDelta):
            if self._shows_thoughts:
                yield self._line("", event.text)
        elif isinstance(event, TokenSampled):
            self._tokens.append(event)
            if len(self._tokens) >= MAX_TOKENS_HELD:
                yield self._line("")
        elif isinstance(event, ToolCallStart):
            self._calls[event.index] = AnsweredCall(event.id, event.name)
        elif isinstance(event, ToolCallDelta):
            self._calls[event.index].add(event.arguments)
        elif isinstance(event, ToolCallAbandoned):  # it is text: nothing may be lost
            del self._calls[event.index]
            yield self._line(event.text)
        elif isinstance(event, Finish):
            self._over = True
            calls, broken = _read_calls(self._calls.values())
            if broken:
                yield self._line(broken)
            for call in calls:
                yield self._line("", calls=[call])
            yield StreamEvent(self._last(event, self.part("")))
        elif not isinstance(event, ToolCallRepaired | PromptRead | AnswerWritten):  # these answers have no place for it
            assert_never(event)

    def waiting(self) -> StreamEvent | None:
        """A line without text, before the last one: JavaScript's `fetch` gives up after five minutes without a byte."""
        return None if self._over else self._line("")

    def failed(self, error: ChatGLMServerError) -> StreamEvent | None:
        self._over = True
        return None

    # ---- lines ----

    def part(self, text: str, thinking: str = "", calls: Sequence[Json] = ()) -> Json:
        """The fields of a line that hold a part of the answer."""
        message: Json = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = list(calls)
        return {"message": message}

    def nothing(self, reason: str) -> Json:
        """The answer to a request that only loads or unloads the model."""
        return {**self._head(), **self.part(""), "done": True, "done_reason": reason}

    def _line(self, text: str, thinking: str = "", calls: Sequence[Json] = ()) -> StreamEvent:
        return StreamEvent({**self._head(), **self.part(text, thinking, calls), "done": False, **self._logprobs()})

    def _last(self, finish: Finish, part: Json) -> Json:
        reason = "length" if finish.reason == "length" else "stop"
        return {
            **self._head(),
            **part,
            "done": True,
            "done_reason": reason,
            **self._figures(finish),
            **self._logprobs(),
        }

    def _head(self) -> Json:
        return {"model": self._model, "created_at": rfc3339(time.time_ns())}

    def _logprobs(self) -> Json:
        tokens, self._tokens = self._tokens, []
        found = chat_logprobs(tokens)
        return {} if found is None else {"logprobs": found["content"]}

    def _figures(self, finish: Finish) -> Json:
        """Durations in nanoseconds. What is neither reading nor writing counts as loading: the wait in the queue."""
        timings = finish.timings
        total = time.perf_counter() - self._started
        read, written = (timings.first_token, timings.generation) if timings else (0.0, 0.0)
        return {
            "total_duration": _nanoseconds(total),
            "load_duration": _nanoseconds(max(0.0, total - read - written)),
            "prompt_eval_count": finish.usage.prompt_tokens,
            "prompt_eval_duration": _nanoseconds(read),
            "eval_count": finish.usage.completion_tokens,
            "eval_duration": _nanoseconds(written),
        }


class GenerateAnswer(ChatAnswer):
    """The answer to a prompt."""

    def part(self, text: str, thinking: str = "", calls: Sequence[Json] = ()) -> Json:
        return {"response": text} | ({"thinking": thinking} if thinking else {})

    def _last(self, finish: Finish, part: Json) -> Json:
        return {**super()._last(finish, part), "context": []}


def _read_calls(answered: Iterable[AnsweredCall]) -> tuple[list[Json], str]:
    """The calls, and the text of those whose arguments are no object: another server may send such."""
    calls: list[Json] = []
    broken = ""
    for call in answered:
        try:
            # once more through JSON text, which joins surrogates
            arguments = load_object(dump_object(load_object(call.arguments or "{}")))
        except NotAnObject:
            broken += call.arguments
            continue
        calls.append({"id": call.id, "function": {"index": len(calls), "name": call.name, "arguments": arguments}})
    return calls, broken


def rfc3339(nanoseconds: int) -> str:
    """The time, in nanoseconds since the epoch, as Ollama writes it."""
    seconds, rest = divmod(nanoseconds, 10**9)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09}Z"


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
