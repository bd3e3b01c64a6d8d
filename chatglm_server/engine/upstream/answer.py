"""From the chunks of a backend's answer to the events of all its choices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...chat import AnswerEvent, Finish, Timings, Usage
from ...errors import UpstreamFailure
from .choice import BackendChoice
from .logprobs import read_logprobs
from .text_reader import ReaderFactory

_COUNTED = ("prompt_tokens", "completion_tokens", "total_tokens")
_MOST_TOKENS = 1 << 40
"""A count above this is none: the figures of the metrics are floats."""


class UpstreamAnswer:
    """One answer, chunk by chunk. A backend that does not stream sends one chunk with everything."""

    def __init__(
        self,
        make_reader: ReaderFactory,
        choices: int = 1,
        *,
        parallel_tool_calls: bool = True,
        reports_tokens: bool = False,
    ) -> None:
        """`choices` is how many the backend was asked for; `reports_tokens` if log probabilities are wanted."""
        self._choices = [BackendChoice(make_reader, parallel_tool_calls=parallel_tool_calls) for _ in range(choices)]
        self._reports_tokens = reports_tokens
        self._usage = Usage()

    def feed(self, chunk: Mapping[str, Any]) -> list[AnswerEvent]:
        """Returns the events that become certain with `chunk`. Mutates the answer. Raises: UpstreamFailure."""
        if isinstance(chunk.get("usage"), dict):
            self._usage = _usage(chunk["usage"])
        model = chunk.get("model")
        events: list[AnswerEvent] = []
        entries = chunk.get("choices")
        for entry in entries if isinstance(entries, list) else ():
            number = (entry.get("index") or 0) if isinstance(entry, dict) else None
            if not isinstance(number, int) or not 0 <= number < len(self._choices):
                continue
            if self._reports_tokens:
                events += [replace(token, choice=number) for token in read_logprobs(entry.get("logprobs"))]
            parsed = self._choices[number].feed(entry, model if isinstance(model, str) else "")
            events += [replace(event, choice=number) for event in parsed]
        return events

    def finish(self, timings: Timings | None = None) -> list[AnswerEvent]:
        """Returns the last events, and a `Finish` for each choice. Mutates the answer.

        The backend counts the tokens of all choices together: choice 0 carries `timings` and the whole usage.

        Raises: UpstreamFailure unless the backend has ended every choice.
        """
        finished = sum(choice.finished for choice in self._choices)
        if not finished:
            raise UpstreamFailure("the backend broke off before its answer was complete")
        if finished < len(self._choices):
            raise UpstreamFailure(
                f"the backend gave {finished} of {len(self._choices)} answers: it broke off, or cannot give several "
                "to one request"
            )
        events: list[AnswerEvent] = []
        for number, choice in enumerate(self._choices):
            parsed, reason = choice.finish()
            events += [replace(event, choice=number) for event in parsed]
            usage = Usage() if number else self._usage
            last = None if number else timings
            events.append(Finish(reason, usage, last, choice.stop_string, choice=number))
        return events


def _usage(usage: Mapping[str, Any]) -> Usage:
    """Reads the backend's usage object. What `Usage` has no field for stays in its details."""
    details = {name: value for name, value in usage.items() if name not in _COUNTED and value is not None}
    return Usage(
        _count(usage.get("prompt_tokens")) or 0,
        _count(usage.get("completion_tokens")) or 0,
        _count(_detail(usage, "prompt_tokens_details", "cached_tokens")) or 0,
        details,
        _count(_detail(usage, "completion_tokens_details", "reasoning_tokens")),
    )


def _detail(usage: Mapping[str, Any], group: str, name: str) -> object:
    details = usage.get(group)
    return details.get(name) if isinstance(details, dict) else None


def _count(value: object) -> int | None:
    return value if type(value) is int and 0 <= value <= _MOST_TOKENS else None
