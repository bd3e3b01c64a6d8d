"""The contract between the API and an engine."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..chat import ChatRequest, CompletionRequest, Event
from ..formats.base import ThinksWhen
from ..model_names import plain
from ..queueing.status import Status
from .capabilities import Capability


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a model's file says about it."""

    container: str
    """The file format: "GGUF" or "chatglm.cpp"."""
    architecture: str
    parameters: int
    """The number of weights."""
    quantization: str
    """The name of its mix of weight types, or the type that takes the most bytes."""
    size: int
    """Bytes of all its files."""
    digest: str
    """64 hexadecimal digits: the same for the same file."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that is served; `created` in seconds since the epoch, `context_length` 0 if it is not known."""

    id: str
    aliases: tuple[str, ...]
    context_length: int
    chat_format: str
    supports_tools: bool
    created: int
    note: str = ""
    """A warning to users of this model."""
    capabilities: frozenset[Capability] = frozenset()
    """The abilities of this engine that other engines may lack."""
    choices: int = 1
    """Answers that one request may ask for."""
    unit: Literal["tokens", "characters"] = "tokens"
    """The unit of `context_length`, `max_tokens` and usage."""
    thinking: ThinksWhen | None = None
    """When it thinks before it answers; None if that is not known."""
    facts: FileFacts | None = None
    """None if there is no model file here."""

    @property
    def thinks(self) -> bool:
        """True if it is known to think, always or when a request asks for it."""
        return self.thinking in ("optional", "always")

    def is_called(self, name: str) -> bool:
        """True if `name` is the id or an alias: in any case, and with the tag of Ollama's lists or without."""
        return plain(name) in {plain(known) for known in (self.id, *self.aliases)}


@dataclass(frozen=True, slots=True)
class Token:
    """A token and its name in the vocabulary; `special` if it stands for no text of the user's."""

    id: int
    piece: str
    special: bool = False


class Engine(Protocol):
    """Messages in, events out. The API knows nothing else."""

    @property
    def info(self) -> ModelInfo: ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        """The answer: `Accepted` once the request is checked and queued, then its events, then `Finish`.

        Raises: InvalidRequest, ContextLengthExceeded, QueueFull, WaitTooLong, NotReady, all before the first event;
        ShuttingDown at any time. Closing the iterator frees the model within one token.
        """
        ...

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """The same for bare prompts: the text events of each and its `Finish`, in order."""
        ...

    async def count_tokens(self, request: ChatRequest) -> int:
        """The length of the prompt that `request` becomes, in the model's unit. Does not queue.

        Raises: InvalidRequest; NotSupported from engines that render no prompts.
        """
        ...

    async def models(self) -> Sequence[ModelInfo]:
        """The models that a request may name: the one there is, those of this machine, or those of another server.

        Raises: UpstreamUnreachable and the other errors of such a server.
        """
        ...

    async def find(self, name: str) -> ModelInfo | None:
        """The model that answers a request for `name`; None if there is none of that name. Loads nothing.

        An engine in front of another server takes any name, and says what is common to that server's models.

        Raises: ModelFileError if its file cannot be served.
        """
        ...

    async def keep(self, name: str | None, seconds: float | None) -> None:
        """Have the model in memory that `name` means, until nobody has asked for it for so many `seconds`. None: as
        long as this server keeps models. 0: give its memory back instead. Does nothing without a model file.

        Raises: NotReady, QueueFull, ShuttingDown, ModelFileError.
        """
        ...

    async def tokenize(self, text: str) -> list[Token]:
        """The tokens of `text` and of what begins (ChatGLM-6B: ends) a bare prompt.

        Raises: NotSupported from engines that have no tokenizer.
        """
        ...

    async def status(self) -> Status:
        """The state of the engine, for ``/health``; waits for a backend's answer for a second at most."""
        ...

    async def load(self) -> None:
        """Make the engine ready. Raises: ModelFileError."""
        ...

    def stop(self) -> None:
        """End all running and waiting requests with ShuttingDown, and take no more. For signal handlers."""
        ...

    async def close(self) -> None:
        """Give back what the engine holds, once it was stopped and its answers have ended."""
        ...
