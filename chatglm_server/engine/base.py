"""What the API knows of an engine, and what the local engine knows of a model."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ..chat import ChatRequest, CompletionRequest, Event, SamplingParams

if TYPE_CHECKING:  # an extra, not needed to serve chats
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The model that is served; `created` in seconds since the epoch, `context_length` 0 where it is not known."""

    id: str
    aliases: tuple[str, ...]
    context_length: int
    chat_format: str
    supports_tools: bool
    created: int
    note: str = ""
    """What a user should know of the model before relying on it."""
    honours: frozenset[str] = frozenset()
    """Request parameters that not every engine can honour, and this one does."""
    choices: int = 1
    """Answers that one request may ask for."""
    unit: Literal["tokens", "characters"] = "tokens"
    """What `context_length`, `max_tokens` and usage count."""
    forwards: Literal["no", "as_sent", "as_text"] = "no"
    """Whether requests go on to another server, whose business their model and parameters are, and how their tools do:
    as they were sent, or written out as text, for which the conversation has to be understood here."""


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

        Raises: InvalidRequest, ContextLengthExceeded, QueueFull, NotReady, all before the first event; ShuttingDown at
        any time. Closing the iterator frees the model within one token.
        """
        ...

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """The same for bare prompts: the text events of each and its `Finish`, in order."""
        ...

    async def models(self) -> Sequence[ModelInfo]:
        """The models that a request may name: the one there is, or those of another server.

        Raises: UpstreamUnreachable and the other errors of such a server.
        """
        ...

    async def tokenize(self, text: str) -> list[Token]:
        """The tokens of `text` and of what begins (ChatGLM-6B: ends) a bare prompt.

        Raises: NotSupported from engines that have no tokenizer.
        """
        ...

    def status(self) -> dict[str, Any]:
        """State of the engine for ``/health``: ready or not, the queue, and what else is worth knowing."""
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


@dataclass(frozen=True, slots=True)
class EmbeddingModelInfo:
    """The embedding model that is served; `created` in seconds since the epoch."""

    id: str
    aliases: tuple[str, ...]
    created: int


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors as the model gives them, float32, a row a text; `tokens` of each text, special tokens included.

    `cut` numbers the texts of which the model read only the beginning.
    """

    vectors: NDArray[np.float32]
    tokens: tuple[int, ...]
    cut: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Keyword:
    """A word of a text and the cosine of the angle between its vector and the text's."""

    word: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Keywords:
    """Most similar first. `cut`: the text's vector is of its beginning only."""

    keywords: tuple[Keyword, ...]
    cut: bool


class Embedder(Protocol):
    """Texts in, vectors out. Every method but `status`, `load` and `stop` raises NotReady, QueueFull, ShuttingDown."""

    @property
    def info(self) -> EmbeddingModelInfo: ...

    async def embed(self, texts: Sequence[str], *, param: str, cut: bool = False) -> Embeddings:
        """A vector for each of `texts`. What is too long is an error, or with `cut` read as far as the model can.

        Raises: InvalidRequest, ContextLengthExceeded, naming `param`. Cancelling frees the model within a batch.
        """
        ...

    async def decode(self, token_lists: Sequence[Sequence[int]], *, param: str) -> list[str]:
        """The texts of token ids of the embedding model's own tokenizer.

        Raises: InvalidRequest, ContextLengthExceeded.
        """
        ...

    async def keywords(
        self, text: str, *, vocabulary: Sequence[str] | None, top: int, diversity: float | None
    ) -> Keywords:
        """The words of `text` (of `vocabulary`, those in it) that are most like the whole, `top` at most.

        With `diversity`, from 0 to 1, words unlike each other are preferred. Raises: InvalidRequest.
        """
        ...

    def status(self) -> dict[str, Any]:
        """As `Engine.status`."""
        ...

    async def load(self) -> None:
        """Make the embedder ready. Raises: ModelFileError."""
        ...

    def stop(self) -> None:
        """As `Engine.stop`."""
        ...


class Sampler(Protocol):
    """Draws the tokens of one answer. What a model makes of it is the model's own business."""

    def note(self, token: int) -> None:
        """Take note of a token of the answer that was not drawn. Mutates the sampler."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What one pass is to read of one sequence: `tokens`, from `position` on, into the cache `slot`.

    With `draw` the token that follows them is drawn by `sampler`, which the model made: one of `allowed`, if there are
    any.
    """

    slot: int
    position: int
    tokens: Sequence[int]
    sampler: Any
    draw: bool
    allowed: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token and the natural logarithm of its probability, and the likeliest tokens with theirs, where wanted."""

    token: int
    logprob: float = 0.0
    top: Sequence[tuple[int, float]] = ()


class Model(Protocol):
    """A model at token level, and the key/value caches of some sequences. It knows nothing of chat.

    One thread at a time may call it.
    """

    vocab_size: int
    slots: int
    """How many sequences it can hold."""
    chunk: int
    """Tokens of prompts that are best read in one pass: enough to be fast, few enough to be interruptible."""
    reuses_prefixes: bool
    """Whether a sequence can go on from a part of another."""

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams) -> Sampler:
        """A sampler for an answer to `prompt`."""
        ...

    def read(self, parts: Sequence[Part]) -> list[Drawn | None]:
        """One pass over parts of different sequences. Returns what was drawn for each. Mutates their caches.

        Raises: ModelFailure.
        """
        ...

    def copy(self, source: int, target: int, count: int) -> None:
        """Make the first `count` positions of the slot `target` those of `source`."""
        ...

    def forget(self, slot: int) -> None:
        """Give back the memory of a slot's cache."""
        ...
