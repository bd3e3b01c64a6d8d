"""The embedding model: a folder in the sentence-transformers layout, run by that library on the CPU.

The library is an optional extra and slow to import, so nothing of it is touched before `load`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ContextLengthExceeded, InvalidRequest, ModelFileError, NotReady, ShuttingDown
from ..queueing.status import Status
from ..queueing.turn_queue import TurnQueue
from .base import EmbeddingModelInfo, Embeddings, Keyword, Keywords
from .published_names import names_that_fit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MAX_CHARACTERS = 100_000
"""Of one text. Bounds the time that counting its tokens takes, which cannot be interrupted."""
MAX_CANDIDATES = 2048
_BATCH_TEXTS = 32
_BATCH_TOKENS = 16384  # padding included: bounds a batch's time and memory
_COUNTED_AT_ONCE = 16
_ONNX_FILES = ("onnx/model.onnx", "model.onnx")
INSTALL = "pip install torch, then pip install 'chatglm-server[embeddings]'"


@dataclass(slots=True, eq=False)
class _Request:
    """Texts to be embedded; `todo` numbers those still without a vector, in the order they are to be done."""

    texts: Sequence[str]
    tokens: Sequence[int]
    todo: list[int]
    vectors: dict[int, NDArray[np.float32]] = field(default_factory=dict)


class SentenceEmbedder:
    """One model on one worker thread. Requests take turns at it, batch by batch, and fill each other's batches."""

    def __init__(
        self,
        folder: Path,
        aliases: Sequence[str],
        max_queue: int,
        threads: int | None = None,
        *,
        aliases_chosen: bool = True,
    ) -> None:
        """Aliases that the user did not choose answer only for a model with vectors of their own size.

        Raises: ModelFileError if `folder` cannot be a model's, or the extra is not installed.
        """
        _check(folder)
        self.info = EmbeddingModelInfo(folder.resolve().name, tuple(aliases), int(folder.stat().st_mtime))
        self._folder = folder
        self._threads = threads
        self._aliases_chosen = aliases_chosen
        self._model: Any = None
        self._max_tokens = 0
        self._waiting: list[_Request] = []
        self._turns = TurnQueue(max_queue)

    async def load(self) -> None:
        load = partial(_load, self._folder, self._threads, lambda: self._turns.stopping)
        model, self._max_tokens, dimensions = await self._turns.run(load)
        if not self._aliases_chosen:
            self.info = replace(self.info, aliases=names_that_fit(self.info.aliases, dimensions))
        self._model = model

    def stop(self) -> None:
        self._turns.stop()

    def status(self) -> Status:
        return Status(self._model is not None, self._turns.status())

    async def embed(self, texts: Sequence[str], *, param: str, cut: bool = False) -> Embeddings:
        import numpy as np

        self._check_ready()
        for number, text in enumerate(texts):
            if len(text) > MAX_CHARACTERS:
                raise InvalidRequest(
                    f"the text has {len(text)} characters; at most {MAX_CHARACTERS}", param=f"{param}[{number}]"
                )
        with self._turns.admission():
            tokens = await self._count(texts)
            too_long = tuple(number for number, count in enumerate(tokens) if count > self._max_tokens)
            if too_long and not cut:
                raise self._too_long(tokens[too_long[0]], f"{param}[{too_long[0]}]")
            # Texts of like length share a batch, so that little of it is padding.
            request = _Request(texts, tokens, sorted(range(len(texts)), key=tokens.__getitem__))
            self._waiting.append(request)
            try:
                while request.todo:
                    async with self._turns.turn():
                        if request.todo:  # another request's turn may have done the rest
                            await self._run_batch(request)
            finally:
                self._waiting.remove(request)
        vectors = np.stack([request.vectors[number] for number in range(len(texts))])
        return Embeddings(vectors, tuple(tokens), too_long)

    async def decode(self, token_lists: Sequence[Sequence[int]], *, param: str) -> list[str]:
        self._check_ready()
        size = len(self._model.tokenizer)
        for number, tokens in enumerate(token_lists):
            if not tokens or not all(0 <= token < size for token in tokens):
                raise InvalidRequest(
                    f"token ids must be those of {self.info.id!r}, the embedding model, from 0 to {size - 1}; "
                    "if your client made them for another one, have it send text",
                    param=f"{param}[{number}]",
                )
            if len(tokens) > self._max_tokens:
                raise self._too_long(len(tokens), f"{param}[{number}]")
        with self._turns.admission():
            async with self._turns.turn():
                decode = partial(self._model.tokenizer.decode, skip_special_tokens=True)
                return await self._turns.run(lambda: [decode(list(tokens)) for tokens in token_lists])

    async def keywords(
        self, text: str, *, param: str, vocabulary: Sequence[str] | None, top: int, diversity: float | None
    ) -> Keywords:
        from .keywords import find_words, rank

        self._check_ready()
        if len(text) > MAX_CHARACTERS:
            raise InvalidRequest(f"the text has {len(text)} characters; at most {MAX_CHARACTERS}", param=param)
        words = await asyncio.to_thread(find_words, text, vocabulary)
        if len(words) > MAX_CANDIDATES:
            raise InvalidRequest(
                f"the text has {len(words)} different words; at most {MAX_CANDIDATES}: shorten it, or name candidates",
                param=param,
            )
        if not words:
            return Keywords((), cut=False)
        embedded = await self.embed([text, *words], param=param, cut=True)
        ranked = await asyncio.to_thread(rank, embedded.vectors[0], embedded.vectors[1:], top, diversity)
        return Keywords(tuple(Keyword(words[number], score) for number, score in ranked), cut=0 in embedded.cut)

    def _check_ready(self) -> None:
        if self._model is None:
            raise NotReady("the embedding model is still being loaded; try again in a few seconds")

    def _too_long(self, tokens: int, param: str) -> ContextLengthExceeded:
        most = f"{self.info.id!r} reads {self._max_tokens}"
        message = f"the text has {tokens} tokens, {most}; split it"
        return ContextLengthExceeded(message, length=tokens, limit=self._max_tokens, param=param)

    async def _count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, a few texts a turn."""
        tokens: list[int] = []
        for start in range(0, len(texts), _COUNTED_AT_ONCE):
            part = list(texts[start : start + _COUNTED_AT_ONCE])
            async with self._turns.turn():
                tokens += await self._turns.run(partial(_count_tokens, self._model, part))
        return tokens

    async def _run_batch(self, request: _Request) -> None:
        """Embed texts of `request` and, where there is room, of those that wait. Needs its turn.

        If this is cancelled, the others still have all that was theirs to do.
        """
        batch = self._batch(request)
        texts = [owner.texts[number] for owner, number in batch]
        vectors = await self._turns.run(partial(_encode, self._model, texts))
        for (owner, number), vector in zip(batch, vectors, strict=True):
            owner.vectors[number] = vector
            owner.todo.remove(number)

    def _batch(self, request: _Request) -> list[tuple[_Request, int]]:
        batch: list[tuple[_Request, int]] = []
        longest = 0
        for owner in (request, *(other for other in self._waiting if other is not request)):
            for number in owner.todo:
                longest = max(longest, min(owner.tokens[number], self._max_tokens))
                if batch and (len(batch) == _BATCH_TEXTS or (len(batch) + 1) * longest > _BATCH_TOKENS):
                    return batch
                batch.append((owner, number))
        return batch


def _check(folder: Path) -> None:
    """Raises: ModelFileError."""
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "no such folder"
        raise ModelFileError(f"{folder}: {problem}; --embedding-model takes one in the sentence-transformers layout")
    if not any((folder / name).is_file() for name in ("modules.json", "config.json")):
        raise ModelFileError(
            f"{folder}: holds neither modules.json nor config.json; "
            "--embedding-model takes a folder in the sentence-transformers layout"
        )
    missing = [name for name in ("torch", "sentence_transformers", "jieba") if find_spec(name) is None]
    if missing:
        raise ModelFileError(f"--embedding-model needs {', '.join(missing)}: {INSTALL}")


def _load(folder: Path, threads: int | None, stopping: Callable[[], bool]) -> tuple[Any, int, int]:
    """The model, ready to run, how many tokens of a text it reads, and the size of its vectors.

    Raises: ModelFileError; ShuttingDown once `stopping` says so.
    """
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}  # nothing may be fetched, whatever a file says
    import torch
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    if stopping():
        raise ShuttingDown("stopped while loading the embedding model")
    if threads is not None:
        torch.set_num_threads(threads)
    onnx = next((name for name in _ONNX_FILES if (folder / name).is_file()), None)
    options: dict[str, Any] = {}
    if onnx is not None and find_spec("onnxruntime") is not None and find_spec("optimum") is not None:
        options = {"backend": "onnx", "model_kwargs": {"file_name": onnx, "provider": "CPUExecutionProvider"}}
    try:
        model = SentenceTransformer(str(folder), device="cpu", local_files_only=True, **options)
        longest = model.max_seq_length or model.tokenizer.model_max_length
        prompt = model.prompts.get(model.default_prompt_name or "", "")
        longest -= _count_tokens(model, [prompt])[0] - _count_tokens(model, [""])[0]
        dimensions = _encode(model, ["The first run sets things up."]).shape[1]
    except Exception as error:  # whatever a file can be broken by, the libraries have an error of its own for it
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelFileError(f"{folder}: sentence-transformers cannot load it: {reason}") from None
    return model, longest, dimensions


def _count_tokens(model: Any, texts: list[str]) -> list[int]:
    return [len(ids) for ids in model.tokenizer(texts, truncation=False, padding=False, verbose=False)["input_ids"]]


def _encode(model: Any, texts: list[str]) -> NDArray[np.float32]:
    vectors: NDArray[np.float32] = model.encode(texts, batch_size=len(texts), show_progress_bar=False)
    return vectors.astype("float32", copy=False)
