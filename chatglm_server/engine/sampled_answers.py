"""Answers of this server as it sampled them, for prompts in which a client sends them back.

A client returns an answer as text and JSON. Rendered anew, that may be other tokens than the model wrote: keys in
another order, other blanks, a thought that the client did not keep. Then nothing behind them is in the KV cache. So an
answer that comes back where it was given, behind the very same tokens, is read as the tokens that it was sampled as.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Protocol

from pydantic import Field, TypeAdapter, ValidationError

from ..answer import Answer
from ..chat import Message
from ..formats.base import THINK_END, EarlierAnswer
from ..recent import Recent

_KEPT_BYTES = 16_000_000
_MOST_ALTERNATIVES = 16  # answers to one prompt
_Token = Annotated[int, Field(ge=0, lt=1 << 32)]
_NOTE = TypeAdapter(list[tuple[list[_Token], str, str, tuple[tuple[str, str, Any], ...]]])
"""Of each answer the tokens, its text, its thought, and its calls."""


class Place:
    """A place in a conversation: the tokens before it."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)

    def go_on(self, tokens: Sequence[int]) -> None:
        """The place behind `tokens` more. Mutates the place."""
        self._hash.update(array("I", tokens).tobytes())

    @property
    def key(self) -> bytes:
        return self._hash.digest()


@dataclass(frozen=True, slots=True)
class _Sampled:
    """An answer, what it says, and the tokens that say it, from behind ``<|assistant|>`` on."""

    tokens: array[int]
    content: str
    reasoning: str
    calls: tuple[tuple[str, str, Any], ...]  # id, name, arguments


class Notes(Protocol):
    """What outlives the server: see `Snapshots`."""

    def keep_note(self, name: str, prefix: Sequence[int], note: bytes) -> None: ...
    def find_note(self, name: str) -> bytes | None: ...


class SampledAnswers:
    """The answers that were given last, or came back last, within a bound on memory. Any thread may ask."""

    def __init__(self, notes: Callable[[], Notes | None] = lambda: None) -> None:
        """`notes`: where answers are kept beyond the server's life, if there is such a place now."""
        self._answers: Recent[bytes, tuple[_Sampled, ...]] = Recent(_KEPT_BYTES)
        self._notes = notes

    def add(
        self, place: bytes, before: Sequence[int], tokens: Sequence[int], answer: Answer, begun: Message | None
    ) -> None:
        """Keep an answer that was given at the place with the key `place`, behind the tokens `before`. If it went on
        from the message `begun`, the `tokens` are those of both. Mutates the collection.
        """
        calls = tuple((call.id, call.name, _parsed(call.arguments)) for call in answer.tool_calls)
        content = (begun.content if begun else "") + answer.content
        reasoning = (begun.reasoning if begun else "") + answer.reasoning
        sampled = _Sampled(array("I", tokens), content, reasoning, calls)
        others = [one for one in self._answers.get(place) or () if one.tokens != sampled.tokens]
        kept = (sampled, *others[: _MOST_ALTERNATIVES - 1])
        self._keep(place, kept)
        if (notes := self._notes()) is not None:
            with suppress(RecursionError):  # arguments that are nested too deeply to be written
                notes.keep_note(place.hex(), before, _note_of(kept))

    def find(self, place: bytes, answer: EarlierAnswer) -> Sequence[int] | None:
        """The tokens of an answer that comes back at the place with the key `place`; None if it is not known.

        What the format leaves out of the prompt is not read from here either: thoughts of earlier turns.
        """
        for sampled in self._answers.get(place) or self._from_disk(place):
            if (answer.keeps_thought or not sampled.reasoning) and _is_same(answer.message, sampled):
                return sampled.tokens
        return None

    def _from_disk(self, place: bytes) -> tuple[_Sampled, ...]:
        notes = self._notes()
        note = None if notes is None else notes.find_note(place.hex())
        if note is None:
            return ()
        kept = _noted(note)
        self._keep(place, kept)
        return kept

    def _keep(self, place: bytes, kept: tuple[_Sampled, ...]) -> None:
        size = sum(4 * len(one.tokens) + 4 * len(one.content + one.reasoning) + 1_000 for one in kept)
        self._answers.keep(place, kept, size)


def _note_of(answers: tuple[_Sampled, ...]) -> bytes:
    return json.dumps([[one.tokens.tolist(), one.content, one.reasoning, one.calls] for one in answers]).encode()


def _noted(note: bytes) -> tuple[_Sampled, ...]:
    """What `_note_of` has written; nothing if another program has."""
    try:
        read = _NOTE.validate_json(note)
    except ValidationError:
        return ()
    return tuple(_Sampled(array("I", tokens), content, reasoning, calls) for tokens, content, reasoning, calls in read)


def _is_same(message: Message, sampled: _Sampled) -> bool:
    """True if a client made `message` from the answer. It may have dropped the thought, or have put it before the text.

    Without its blanks at both ends, and its arguments with keys in any order, it is to be the same. A call that comes
    back by its id may have arguments that were not written: some clients add defaults.
    """
    reasoning, content = message.reasoning, message.content
    if sampled.reasoning and not reasoning and THINK_END in content:
        content = content.rpartition(THINK_END)[2]
    if content.strip() != sampled.content.strip() or len(message.tool_calls) != len(sampled.calls):
        return False
    if reasoning and reasoning.strip() != sampled.reasoning.strip():
        return False
    return all(
        call.name == name
        and _covers(call.arguments, arguments)
        and (_bare(call.id) == _bare(id_) or _covers(arguments, call.arguments))
        for call, (id_, name, arguments) in zip(message.tool_calls, sampled.calls, strict=True)
    )


def _covers(returned: Any, written: Any) -> bool:
    """True if `returned` is what was `written`, perhaps with more keys in its objects."""
    if isinstance(written, dict):
        return isinstance(returned, dict) and all(
            key in returned and _covers(returned[key], value) for key, value in written.items()
        )
    if isinstance(written, list):
        return isinstance(returned, list) and len(returned) == len(written) and all(map(_covers, returned, written))
    return isinstance(returned, bool) == isinstance(written, bool) and bool(returned == written)


def _bare(id_: str) -> str:
    """A call's id without the prefix, which each dialect has of its own."""
    return id_.rpartition("_")[2]


def _parsed(arguments: str) -> Any:
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
