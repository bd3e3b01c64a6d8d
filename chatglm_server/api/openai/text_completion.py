"""OpenAI's answers to bare prompts; whole and streamed ones have one shape."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ...answer import Answer
from ...chat import AnswerEvent, AnswerWritten, Finish, TextDelta, TokenSampled, Usage
from ..dialect import AnswerShape, Json, StreamEvent
from .logprobs import MAX_TOKENS_HELD, TextLogprobs
from .objects import answer_head, timings_of, usage_object


class TextCompletion(AnswerShape):
    """The answers to one request; id, time and model are the same in all their objects.

    `include_usage`: a stream ends with a usage chunk. `include_timings`: the answer says how long it took, and a chunk
    how long it has taken.
    """

    def __init__(self, model: str, *, include_usage: bool = False, include_timings: bool = False) -> None:
        self._head = answer_head("cmpl-", model) | {"object": "text_completion"}
        self._include_usage = include_usage
        self._include_timings = include_timings
        self._timings: dict[int, Json] = {}  # by choice
        self._logprobs: defaultdict[int, TextLogprobs] = defaultdict(TextLogprobs)

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The answers to all prompts. Needs finished answers."""
        choices = []
        for index, answer in enumerate(answers):
            for event in answer.tokens:
                self._logprobs[index].add(event)
            choices.append(self._choice(index, answer.content, answer.finished().reason))
        ends = [answer.finished() for answer in answers]
        usage = usage_object(sum((end.usage for end in ends), Usage()))
        timings = timings_of(ends) if self._include_timings else {}
        return {**self._head, "choices": choices, "usage": usage, **timings}

    def add(self, event: AnswerEvent) -> Iterator[StreamEvent]:
        """The chunk that `event` becomes. A bare completion has text only. Mutates the shape."""
        if isinstance(event, AnswerWritten | Finish) and self._include_timings:
            self._timings[event.choice] = timings_of([event])
        if isinstance(event, TokenSampled):
            self._logprobs[event.choice].add(event)
            if self._logprobs[event.choice].held >= MAX_TOKENS_HELD:
                yield self._chunk(event.choice, "", None)
        elif isinstance(event, TextDelta):
            yield self._chunk(event.choice, event.text, None)
        elif isinstance(event, Finish):
            yield self._chunk(event.choice, "", event.reason)

    def end(self, usage: Usage) -> Iterator[StreamEvent]:
        """The usage chunk, if the client asked for it."""
        if self._include_usage:
            yield StreamEvent({**self._head, "choices": [], "usage": usage_object(usage)})

    def _chunk(self, index: int, text: str, finish_reason: str | None) -> StreamEvent:
        choices = [self._choice(index, text, finish_reason)]
        return StreamEvent({**self._head, "choices": choices, **self._timings.get(index, {})})

    def _choice(self, index: int, text: str, finish_reason: str | None) -> Json:
        logprobs = self._logprobs[index].taken()
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}
