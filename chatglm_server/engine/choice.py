"""One choice: from the sampled tokens of an answer to its events."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

from ..answer import Answer
from ..chat import (
    AnswerEvent,
    AnswerWritten,
    Finish,
    FinishReason,
    ParserEvent,
    PromptRead,
    Timings,
    TokenLogprob,
    TokenSampled,
    ToolCallAbandoned,
    ToolCallRepaired,
    Usage,
)
from ..decoding.constraints.forced_prefix import begins_with_any
from ..decoding.runner import PromptProgress, SampledToken
from ..decoding.scheduler import Scheduler
from ..decoding.sequence import AnswerSequence
from ..errors import ModelFailure
from ..model_files.tokenizer import Detokenizer, Tokenizer
from .output import Output


class EndedAnswer:
    """An answer that is over: its tokens, but for the one that ended it, and what they say.

    `faults`: how its calls were repaired, which were given up, and why it failed.
    """

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.said = Answer()
        self.faults: list[str] = []
        self.reason: FinishReason = "length"
        self.whole = False
        """True if it says all that its tokens do: it has not failed, and no stop string ended it."""

    def add(self, event: ParserEvent) -> None:
        """Mutates the answer."""
        self.said.add(event)
        if isinstance(event, ToolCallRepaired):
            self.faults += event.repairs
        elif isinstance(event, ToolCallAbandoned):
            self.faults.append("a call was given up")


async def choice_events(
    scheduler: Scheduler,
    tokenizer: Tokenizer,
    sequence: AnswerSequence,
    output: Output,
    *,
    choice: int,
    counts_prompt: bool,
    reports_tokens: bool,
    timed: bool = False,
    openings: Sequence[Sequence[int]] = (),
    ended: Callable[[EndedAnswer], None] | None = None,
) -> AsyncGenerator[AnswerEvent, None]:
    """The events of the answer number `choice`.

    If it is `timed`, they say how long it has taken. If it has to begin with one of `openings`, its text is held back
    until something follows the opening: an answer that is cut before that has no content.

    `ended` gets the answer when it is over, or has failed.

    Raises: ShuttingDown, ModelFailure.
    """
    text, answer = _Text(tokenizer, output), EndedAnswer()
    held: list[int] = []
    stopped, opened, first_token = False, not openings, 0.0

    def usage() -> Usage:
        return _usage(sequence, len(answer.tokens) + stopped, text.reasoning_tokens, counts_prompt=counts_prompt)

    try:
        async with aclosing(scheduler.answer(sequence)) as tokens:
            async for sampled in tokens:
                if isinstance(sampled, PromptProgress):
                    length, cached = sequence.prompt_length, sequence.cached or 0
                    yield PromptRead(length, cached, *sampled, choice=choice)
                    continue
                generated = len(answer.tokens)
                if sampled.token in sequence.stop_tokens:
                    stopped = True
                else:
                    answer.tokens.append(sampled.token)
                    held.append(sampled.token)
                    if reports_tokens:
                        yield _token_sampled(tokenizer, sampled, choice)
                opened = opened or begins_with_any(held[:generated], openings)
                if opened:
                    first_token = first_token or time.perf_counter()
                    events = text.feed(held)
                    if timed and events:
                        timings = Timings(first_token - sequence.began, time.perf_counter() - first_token)
                        yield AnswerWritten(usage(), timings, choice=choice)
                    for event in events:
                        answer.add(event)
                        yield _numbered(event, choice)
                    held.clear()
                if output.complete:
                    break
    except ModelFailure as error:
        answer.faults.append(f"failed: {error.message}")
        if ended is not None:
            ended(answer)
        raise
    last = text.flush() if opened else []
    ending, answer.reason = output.finish(cut=not stopped)
    for event in [*last, *ending]:
        answer.add(event)
        yield _numbered(event, choice)
    answer.whole = not output.complete
    if ended is not None:
        ended(answer)
    taken = Timings(first_token - sequence.began, time.perf_counter() - first_token) if first_token else None
    yield Finish(answer.reason, usage(), taken, output.stop_string, choice=choice)


def _usage(sequence: AnswerSequence, generated: int, reasoning_tokens: int | None, *, counts_prompt: bool) -> Usage:
    prompt, cached = (sequence.prompt_length, sequence.cached or 0) if counts_prompt else (0, 0)
    accepted = min(sequence.accepted, generated)  # the sequence may be ahead of what is read of it
    return Usage(
        *(prompt, generated, cached),
        reasoning_tokens=reasoning_tokens,
        accepted_tokens=accepted if sequence.drafts else None,
        rejected_tokens=sequence.drafted - sequence.accepted if sequence.drafts else None,
    )


class _Text:
    """Detokenizes an answer and feeds its output; counts the tokens of thoughts."""

    def __init__(self, tokenizer: Tokenizer, output: Output) -> None:
        self._detokenizer = Detokenizer(tokenizer)
        self._output = output
        self.reasoning_tokens = None if output.in_thought is None else 0
        """Tokens in a thought, its end mark included; None for models that do not think."""

    def feed(self, tokens: Sequence[int]) -> list[ParserEvent]:
        """The events that become certain with `tokens`. Mutates the text."""
        events: list[ParserEvent] = []
        for token in tokens:
            before = self._output.in_thought
            for piece in self._detokenizer.feed(token):
                events += self._output.feed(piece)
            if self.reasoning_tokens is not None:
                self.reasoning_tokens += bool(before or self._output.in_thought)
        return events

    def flush(self) -> list[ParserEvent]:
        """The events of a character that is not whole. Mutates the text."""
        return [event for piece in self._detokenizer.flush() for event in self._output.feed(piece)]


def _numbered(event: ParserEvent, choice: int) -> ParserEvent:
    return replace(event, choice=choice) if choice else event


def _token_sampled(tokenizer: Tokenizer, sampled: SampledToken, choice: int) -> TokenSampled:
    top = tuple(_token_logprob(tokenizer, token, logprob) for token, logprob in sampled.top)
    return TokenSampled(_token_logprob(tokenizer, sampled.token, sampled.logprob), top, choice=choice)


def _token_logprob(tokenizer: Tokenizer, token: int, logprob: float) -> TokenLogprob:
    """A special token goes by its name, as if that were text: it has no bytes of its own."""
    name = next((name for name, special in tokenizer.specials.items() if special == token), None)
    data = tokenizer.token_bytes(token) if name is None else name.encode()
    return TokenLogprob(data.decode(errors="backslashreplace"), data, logprob)
