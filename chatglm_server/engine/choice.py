"""One answer: from the tokens that are drawn to the events that the API sends."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from ..chat import AnswerEvent, Finish, ParserEvent, Timings, TokenLogprob, TokenSampled, Usage
from ..decoding.model import Drawn
from ..decoding.scheduler import Scheduler
from ..decoding.sequence import AnswerSequence
from ..model_files.tokenizer import Detokenizer, Tokenizer
from .output import Output


async def answer_events(
    scheduler: Scheduler,
    tokenizer: Tokenizer,
    sequence: AnswerSequence,
    output: Output,
    *,
    choice: int,
    counts_prompt: bool,
    reports_tokens: bool,
) -> AsyncGenerator[AnswerEvent, None]:
    """The events of the answer number `choice`.

    Raises: ShuttingDown, ModelFailure.
    """
    detokenizer = Detokenizer(tokenizer)
    held: list[int] = []  # of a forced opening, which is no content if the answer is cut inside it
    generated, ended, first_token = 0, False, 0.0
    async with aclosing(scheduler.answer(sequence)) as tokens:
        async for drawn in tokens:
            generated += 1
            if drawn.token in sequence.stop_tokens:
                ended = True
            else:
                held.append(drawn.token)
                if reports_tokens:
                    yield _token_sampled(tokenizer, drawn, choice)
            if generated > sequence.masked:  # before that, tokens may be known before the prompt is read
                first_token = first_token or time.perf_counter()
                for event in _fed(output, detokenizer, held):
                    yield _of(choice, event)
                held.clear()
            if output.complete:
                break
    cut_in_opening = generated <= sequence.masked
    if not cut_in_opening:
        for piece in detokenizer.flush():
            for event in output.feed(piece):
                yield _of(choice, event)
    events, reason = output.finish(cut=not ended)
    for event in events:
        yield _of(choice, event)
    prompt = (sequence.prompt_length, sequence.cached or 0) if counts_prompt else (0, 0)
    usage = Usage(prompt[0], generated, prompt[1])
    timings = Timings(first_token - sequence.began, time.perf_counter() - first_token) if first_token else None
    yield Finish(reason, usage, timings, choice=choice)


def _fed(output: Output, detokenizer: Detokenizer, tokens: Sequence[int]) -> list[ParserEvent]:
    return [event for token in tokens for piece in detokenizer.feed(token) for event in output.feed(piece)]


def _of(choice: int, event: ParserEvent) -> ParserEvent:
    return replace(event, choice=choice) if choice else event


def _token_sampled(tokenizer: Tokenizer, drawn: Drawn, choice: int) -> TokenSampled:
    top = tuple(_token_logprob(tokenizer, token, logprob) for token, logprob in drawn.top)
    return TokenSampled(_token_logprob(tokenizer, drawn.token, drawn.logprob), top, choice=choice)


def _token_logprob(tokenizer: Tokenizer, token: int, logprob: float) -> TokenLogprob:
    """A special token goes by its name, as if that were text: it has no bytes of its own."""
    name = next((name for name, special in tokenizer.specials.items() if special == token), None)
    data = tokenizer.token_bytes(token) if name is None else name.encode()
    return TokenLogprob(data.decode(errors="backslashreplace"), data, logprob)
