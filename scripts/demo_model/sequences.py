"""Conversations as token ids, with the tokens that the model has to write marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chatglm_server.formats.base import ChatFormat, Piece, Special

from .conversations import Conversation

Encode = Callable[[str], list[int]]


@dataclass
class Sequence:
    """Token ids and, for each, whether the model writes it (1) or reads it (0)."""

    ids: list[int]
    written: list[int]


@dataclass(frozen=True)
class Codec:
    """A chat format and a tokenizer: what turns conversations into ids."""

    format: ChatFormat
    encode: Encode
    special: dict[str, int]

    def piece(self, piece: Piece) -> list[int]:
        """The ids of one part of a prompt."""
        return [self.special[piece.name]] if isinstance(piece, Special) else self.encode(piece)

    def prompt(self, conversation: Conversation) -> list[int]:
        """The ids that ask for the next answer."""
        rendered = self.format.render(conversation.messages, conversation.tools)
        return [token for piece in rendered.pieces for token in self.piece(piece)]

    def sequence(self, conversation: Conversation) -> Sequence:
        """The whole conversation. The token after an assistant's text ends its turn and is written by the model."""
        pieces = list(self.format.render(conversation.messages, conversation.tools).pieces)
        last_is_call = bool(conversation.messages[-1].tool_calls)
        pieces[-1] = Special("<|observation|>" if last_is_call else "<|user|>")
        made = Sequence([], [])
        in_answer = False
        for piece in pieces:
            ids = self.piece(piece)
            made.ids += ids
            made.written += [int(in_answer)] * len(ids)
            if isinstance(piece, Special):
                in_answer = piece.name == "<|assistant|>"
        return made
