"""Answers from a file of recorded model text: for development without weights, bug reports and tests.

Only the model is missing: the engine renders the prompt, takes turns, and parses the text in the pieces that the
recording asks for. Sampling parameters and forced calls change nothing in a recording. Lengths and usage count
characters, because recordings have no tokens.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from ..chat import AnswerEvent, ChatRequest, CompletionRequest, Event, Finish, ParserEvent, Timings, Usage
from ..errors import ContextLengthExceeded, InvalidRequest, NotSupported
from ..formats.base import CannotRender, ChatFormat, Piece
from ..formats.registry import FORMATS
from ..formats.scanning.markers import SpecialTokenScanner
from ..queueing.status import Status
from ..queueing.turn_queue import TurnQueue
from ..sampling import SamplingParams
from .base import ModelInfo, Token
from .capabilities import Capability
from .choices import merge_choices
from .output import Output, PlainText
from .recordings import Recording, read_recordings

DEFAULT_FORMAT = "glm4"
"""The format of lines that do not name one, unless ``--chat-format`` does."""
CONTEXT_LENGTH = 1 << 24
"""Characters: more than the largest request has, because a recording's context cannot be full."""

_UNIT = {"unit": "characters"}


class ReplayEngine:
    """Gives each request the next recording, and starts over after the last."""

    def __init__(self, info: ModelInfo, recordings: Sequence[Recording], default_format: str, max_queue: int) -> None:
        """`default_format` is the format of recordings that do not name one."""
        self.info = info
        self._default_format = default_format
        self._recordings = deque(recordings)  # the next one is first
        self._turns = TurnQueue(max_queue)

    async def load(self) -> None:
        """Does nothing: the recordings are in memory."""

    def stop(self) -> None:
        self._turns.stop()

    async def close(self) -> None:
        """Does nothing: `stop` has ended all turns."""

    async def models(self) -> list[ModelInfo]:
        return [self.info]

    async def find(self, name: str) -> ModelInfo | None:
        return self.info if self.info.is_called(name) else None

    async def keep(self, name: str | None, seconds: float | None) -> None:
        """Does nothing: the recordings stay in memory."""

    async def count_tokens(self, request: ChatRequest) -> int:
        """Characters, as the next recording's format writes the prompt."""
        return _prompt_length(self._format_of(self._recordings[0]), request)

    async def tokenize(self, text: str) -> list[Token]:
        raise NotSupported("recordings have no tokenizer; give --model the file of a model")

    async def status(self) -> Status:
        return Status(True, self._turns.status())

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        tools = request.callable_tools
        sampling = request.sampling.resolved(request.defaults)
        with self._turns.admission():
            recording = self._next_recording()
            chat_format = self._format_of(recording)
            length = _prompt_length(chat_format, request)
            output = Output(
                chat_format.parser(tools, prompt_ends_in_think=recording.prompt_ends_in_think),
                sampling.stop,
                parallel_tool_calls=request.parallel_tool_calls is not False,
            )
            specials = SpecialTokenScanner(chat_format.special_tokens)
            budget = self._budget(length, sampling, "messages")
            answer = self._answer(recording, length, budget, output, specials, choice=0)
            async with aclosing(merge_choices([answer], 1, length)) as events:
                async for event in events:
                    yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Gives the recorded text unparsed, with its special tokens."""
        sampling = request.sampling.resolved(request.defaults)
        with self._turns.admission():
            answers, length = [], 0
            for number, prompt in enumerate(request.prompts):
                if not isinstance(prompt, str):
                    raise InvalidRequest("recordings have no tokenizer; send the prompt as text", param="prompts")
                output = Output(PlainText(), sampling.stop)
                specials = SpecialTokenScanner(())
                budget = self._budget(len(prompt), sampling, "prompts")
                recording = self._next_recording()
                length += len(prompt)
                answers.append(self._answer(recording, len(prompt), budget, output, specials, choice=number))
            async with aclosing(merge_choices(answers, 1, length)) as events:
                async for event in events:
                    yield event

    def _next_recording(self) -> Recording:
        recording = self._recordings[0]
        self._recordings.rotate(-1)
        return recording

    def _format_of(self, recording: Recording) -> ChatFormat:
        return FORMATS[recording.format or self._default_format]

    def _budget(self, prompt: int, sampling: SamplingParams, param: str) -> int:
        """Returns the most characters that an answer to a prompt of `prompt` characters may have.

        Raises: ContextLengthExceeded.
        """
        room = self.info.context_length - prompt
        if room <= 0:
            raise ContextLengthExceeded(
                f"the prompt has {prompt} characters, but the context holds {self.info.context_length}, answer "
                "included; shorten the conversation or the tools",
                length=prompt,
                limit=self.info.context_length,
                param=param,
            )
        return min(sampling.max_tokens or room, room)

    async def _answer(
        self, recording: Recording, prompt: int, budget: int, output: Output, specials: SpecialTokenScanner, choice: int
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Waits for its turn, then yields the events of one answer of at most `budget` characters."""
        async with self._turns.turn():
            started = time.perf_counter()
            first = last = None
            count = 0
            for text in recording.pieces(budget):
                await self._turns.wait(recording.delay_ms / 1000 if first else 0)
                last = time.perf_counter()
                first = first or last
                count += len(text)
                for event in _parse(output, specials.feed(text)):
                    yield replace(event, choice=choice)
                if output.complete:
                    break
            for event in _parse(output, specials.flush()):
                yield replace(event, choice=choice)
            cut = recording.finish_reason == "length" or count < len(recording.raw)
            events, reason = output.finish(cut=cut)
            for event in events:
                yield replace(event, choice=choice)
            timings = Timings(first - started, last - first) if first and last else None
            usage = Usage(prompt, count, details=_UNIT)
            yield Finish(reason, usage, timings, output.stop_string, choice=choice)


def load_replay(
    path: Path, aliases: Sequence[str], chat_format: str, context_length: int | None, max_queue: int
) -> ReplayEngine:
    """Reads the file at `path` and returns its engine. `chat_format` may be "auto".

    Raises: ModelFileError.
    """
    recordings = read_recordings(path)
    default_format = DEFAULT_FORMAT if chat_format == "auto" else chat_format
    formats = dict.fromkeys(recording.format or default_format for recording in recordings)
    thinking = {FORMATS[name].thinking.when for name in formats}
    info = ModelInfo(
        id=path.stem,
        aliases=tuple(aliases),
        context_length=context_length or CONTEXT_LENGTH,
        chat_format=", ".join(formats),
        supports_tools=True,
        created=int(path.stat().st_mtime),
        note="recorded answers; lengths and usage count characters",
        unit="characters",
        thinking=thinking.pop() if len(thinking) == 1 else "optional",
        capabilities=frozenset(
            {Capability.KEEP_THOUGHTS} if all(FORMATS[name].thinking.keep for name in formats) else ()
        ),
    )
    return ReplayEngine(info, recordings, default_format, max_queue)


def _prompt_length(chat_format: ChatFormat, request: ChatRequest) -> int:
    """Characters of the prompt that `request` becomes. Raises: InvalidRequest."""
    try:
        return len(chat_format.render(request.messages, request.callable_tools, request.thinking).text)
    except CannotRender as error:
        raise InvalidRequest(str(error), param=error.param) from None


def _parse(output: Output, pieces: Sequence[Piece]) -> list[ParserEvent]:
    return [event for piece in pieces for event in output.feed(piece)]
