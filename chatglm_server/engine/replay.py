"""The engine that answers from a file of recorded model text: for developers without weights, bug reports and tests.

All but the model is real: the prompt is rendered, requests take turns, and the text goes through the format's parser in
the pieces that the recording asks for. What a request says of sampling, or of a call that must be made, changes nothing
in a recording. Lengths and usage count characters, for there are no tokens.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from ..chat import AnswerEvent, ChatRequest, CompletionRequest, Event, Finish, ParserEvent, Timings, Usage
from ..errors import ContextLengthExceeded, InvalidRequest, ModelFileError, NotSupported
from ..formats.base import CannotRender, Piece
from ..formats.registry import FORMATS
from ..formats.scanning.markers import SpecialTokenScanner
from ..queueing.status import Status
from ..queueing.turn_queue import TurnQueue
from ..sampling import SamplingParams
from .base import ModelInfo, Token
from .choices import merge_choices
from .output import Output, PlainText

MAX_LINE_BYTES = 4 << 20
MAX_FILE_BYTES = 64 << 20
DEFAULT_FORMAT = "glm4"
"""The format of lines that name none, where ``--chat-format`` does not say either."""
CONTEXT_LENGTH = 1 << 24
"""Characters: more than the largest request has, for a recording has no context that could be full."""

_UNIT = {"unit": "characters"}


class Recording(BaseModel):
    """One recorded answer. Other keys are not looked at, so that lines of parser cases can be replayed as they are."""

    raw: str
    """The model's text, special tokens spelled out."""
    format: str | None = None
    prompt_ends_in_think: bool = False
    chunk_size: int = Field(0, ge=0, le=1 << 30)
    """Characters a piece; 0: all at once."""
    delay_ms: float = Field(0, ge=0, le=600_000)
    """Between two pieces."""
    finish_reason: Literal["stop", "tool_calls", "length"] = "stop"
    """"length" for text that was cut off; the parser sees to the others."""

    @field_validator("format")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value not in FORMATS:
            raise ValueError(f"{value!r} is none of {', '.join(FORMATS)}")
        return value

    def pieces(self, length: int) -> Iterator[str]:
        """The first `length` characters, cut as the recording says."""
        size = self.chunk_size or max(length, 1)
        for start in range(0, min(length, len(self.raw)), size):
            yield self.raw[start : min(start + size, length)]


class ReplayEngine:
    """Recordings, used in turn by whoever asks next, and from the first again after the last."""

    def __init__(self, info: ModelInfo, recordings: Sequence[Recording], max_queue: int) -> None:
        """`info.chat_format` is the format of recordings that name none."""
        self.info = info
        self._recordings = cycle(recordings)
        self._turns = TurnQueue(max_queue)

    async def load(self) -> None:
        """Nothing is left to do."""

    def stop(self) -> None:
        self._turns.stop()

    async def close(self) -> None:
        """Nothing is held that does not end by itself."""

    async def models(self) -> list[ModelInfo]:
        return [self.info]

    async def tokenize(self, text: str) -> list[Token]:
        raise NotSupported("recordings have no tokenizer; give --model a chatglm.cpp .bin file")

    def status(self) -> Status:
        return Status(True, self._turns.status())

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        tools = request.callable_tools
        sampling = request.sampling.resolved(request.defaults)
        with self._turns.admission():
            recording = next(self._recordings)
            chat_format = FORMATS[recording.format or self.info.chat_format]
            try:
                prompt = chat_format.render(request.messages, tools, request.thinking)
            except CannotRender as error:
                raise InvalidRequest(str(error), param=error.param) from None
            output = Output(
                chat_format.parser(tools, prompt_ends_in_think=recording.prompt_ends_in_think),
                sampling.stop,
                parallel_tool_calls=request.parallel_tool_calls is not False,
            )
            specials = SpecialTokenScanner(chat_format.special_tokens)
            length = len(prompt.text)
            budget = self._budget(length, sampling, "messages")
            answer = self._answer(recording, length, budget, output, specials, choice=0)
            async with aclosing(merge_choices([answer], 1)) as events:
                async for event in events:
                    yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """The recorded text as it stands, special tokens and all."""
        sampling = request.sampling.resolved(request.defaults)
        with self._turns.admission():
            answers = []
            for number, prompt in enumerate(request.prompts):
                if not isinstance(prompt, str):
                    raise InvalidRequest("a replay has no tokens; send the prompt as text", param="prompt")
                output = Output(PlainText(), sampling.stop)
                specials = SpecialTokenScanner(())
                budget = self._budget(len(prompt), sampling, "prompt")
                recording = next(self._recordings)
                answers.append(self._answer(recording, len(prompt), budget, output, specials, choice=number))
            async with aclosing(merge_choices(answers, 1)) as events:
                async for event in events:
                    yield event

    def _budget(self, prompt: int, sampling: SamplingParams, param: str) -> int:
        """Characters that the answer may have after `prompt` characters. Raises: ContextLengthExceeded."""
        room = self.info.context_length - prompt
        if room <= 0:
            raise ContextLengthExceeded(
                f"the prompt has {prompt} characters, but the context holds {self.info.context_length}, answer "
                "included; shorten the conversation or the tools",
                param=param,
            )
        return min(sampling.max_tokens or room, room)

    async def _answer(
        self, recording: Recording, prompt: int, budget: int, output: Output, specials: SpecialTokenScanner, choice: int
    ) -> AsyncGenerator[AnswerEvent, None]:
        """The events of one answer of at most `budget` characters, once it is its turn."""
        async with self._turns.turn():
            started = time.perf_counter()
            first, count = None, 0
            for text in recording.pieces(budget):
                await self._turns.wait(recording.delay_ms / 1000 if first else 0)
                first = first or time.perf_counter()
                count += len(text)
                for event in _fed(output, specials.feed(text)):
                    yield replace(event, choice=choice)
                if output.complete:
                    break
            for event in _fed(output, specials.flush()):
                yield replace(event, choice=choice)
            cut = recording.finish_reason == "length" or count < len(recording.raw)
            events, reason = output.finish(cut=cut)
            for event in events:
                yield replace(event, choice=choice)
            timings = Timings(first - started, time.perf_counter() - first) if first else None
            yield Finish(reason, Usage(prompt, count, details=_UNIT), timings, choice=choice)


def load_replay(
    path: Path, aliases: Sequence[str], chat_format: str, context_length: int | None, max_queue: int
) -> ReplayEngine:
    """The engine for a file; `chat_format` may be "auto".

    Raises: ModelFileError.
    """
    recordings = read_recordings(path)
    info = ModelInfo(
        id=path.stem,
        aliases=tuple(aliases),
        context_length=context_length or CONTEXT_LENGTH,
        chat_format=DEFAULT_FORMAT if chat_format == "auto" else chat_format,
        supports_tools=True,
        created=int(path.stat().st_mtime),
        note="recorded answers; lengths and usage count characters",
        unit="characters",
    )
    return ReplayEngine(info, recordings, max_queue)


def read_recordings(path: Path) -> list[Recording]:
    """The lines of a JSON Lines file; blank ones are skipped.

    Raises: ModelFileError, which names the line.
    """
    recordings: list[Recording] = []
    try:
        with path.open("rb") as file:
            number, size = 0, 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number, size = number + 1, size + len(line)
                if len(line) > MAX_LINE_BYTES:
                    raise ModelFileError(f"{path}:{number}: the line is longer than {MAX_LINE_BYTES >> 20} MiB")
                if size > MAX_FILE_BYTES:
                    raise ModelFileError(f"{path}:{number}: the file is larger than {MAX_FILE_BYTES >> 20} MiB")
                if line.strip():
                    recordings.append(_recording(line, f"{path}:{number}"))
    except OSError as error:
        raise ModelFileError(f"{path}: {error.strerror or error}") from None
    if not recordings:
        raise ModelFileError(f'{path}: no recording in it; a line is {{"raw": "what the model wrote"}}')
    return recordings


def _recording(line: bytes, where: str) -> Recording:
    try:
        return Recording.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise ModelFileError(f"{where}: {name}: {message}" if name else f"{where}: {message}") from None


def _fed(output: Output, pieces: Sequence[Piece]) -> Iterator[ParserEvent]:
    for piece in pieces:
        yield from output.feed(piece)
