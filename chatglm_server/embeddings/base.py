"""The contract between the API and an embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..model_names import plain
from ..queueing.status import Status

if TYPE_CHECKING:  # an extra, not needed to serve chats
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EmbeddingModelInfo:
    """The embedding model that is served; `created` in seconds since the epoch."""

    id: str
    aliases: tuple[str, ...]
    created: int

    def is_called(self, name: str) -> bool:
        """As for `ModelInfo`."""
        return plain(name) in {plain(known) for known in (self.id, *self.aliases)}


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors as the model gives them, float32, a row a text; `tokens` of each text, special tokens included.

    `cut` numbers the texts that the model read only in part.
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
        """A vector for each of `texts`. Text that is too long is an error, or with `cut` read as far as the model can.

        Raises: InvalidRequest, ContextLengthExceeded, naming `param`. Cancelling frees the model within a batch.
        """
        ...

    async def decode(self, token_lists: Sequence[Sequence[int]], *, param: str) -> list[str]:
        """The texts of token ids of the embedding model's own tokenizer.

        Raises: InvalidRequest, ContextLengthExceeded.
        """
        ...

    async def keywords(
        self, text: str, *, param: str, vocabulary: Sequence[str] | None, top: int, diversity: float | None
    ) -> Keywords:
        """The words of `text` (of `vocabulary`, those in it) that are most like the whole, `top` at most.

        With `diversity`, from 0 to 1, words unlike each other are preferred. Raises: InvalidRequest, naming `param`.
        """
        ...

    def status(self) -> Status:
        """As `Engine.status`."""
        ...

    async def load(self) -> None:
        """Make the embedder ready. Raises: ModelFileError."""
        ...

    def stop(self) -> None:
        """As `Engine.stop`."""
        ...
