"""Conversations as token ids, with the tokens that the model has to write marked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from chatglm_server.chat import Message
from chatglm_server.formats.base import ChatFormat, Piece, Prompt, Special
from chatglm_server.model_files.tokenizer import Tokenizer, encode_prompt

from .text.conversations import Conversation
from .text.draw import Draw


@dataclass
class Sequence:
    """Token ids and, for each, its place in the answer that the model writes, from 1, or 0 where it only reads."""

    ids: list[int]
    written: list[int]


@dataclass(frozen=True)
class Codec:
    """A chat format and a tokenizer: what turns conversations into ids."""

    format: ChatFormat
    tokenizer: Tokenizer
    plain: range
    """The ids that stand for text."""

    def prompt(self, conversation: Conversation) -> list[int]:
        """The ids that ask for the next answer."""
        return encode_prompt(self.tokenizer, self.format.render(conversation.messages, conversation.tools))

    def sequence(self, conversation: Conversation) -> Sequence:
        """The whole conversation. The token after an assistant's text ends its turn and is written by the model."""
        pieces = list(self.format.render(conversation.messages, conversation.tools).pieces)
        last_is_call = bool(conversation.messages[-1].tool_calls)
        pieces[-1] = Special("<|observation|>" if last_is_call else "<|user|>")
        return self._sequence(pieces)

    def drill(self, draw: Draw) -> Sequence:
        """Tokens of any kind to be repeated, so that copying is learned for those too that the text seldom has."""
        text = draw.choices(self.plain, k=draw.randint(4, 24))
        asked = Conversation(messages=[Message("user", draw.choice(("Repeat: ", "重复：")))])
        *question, assistant = self.prompt(asked)
        blank = self.tokenizer.encode_text("x")[:-1]  # what SentencePiece puts in front of a text
        answer = [*self.tokenizer.encode_text("\n"), *blank, *text, self.tokenizer.specials["<|user|>"]]
        read = [*question, *text, assistant]
        return Sequence(read + answer, [0] * len(read) + list(range(1, len(answer) + 1)))

    def _sequence(self, pieces: Iterable[Piece]) -> Sequence:
        made = Sequence([], [])
        place = 0
        for piece in pieces:
            ids = encode_prompt(self.tokenizer, Prompt((piece,)))
            for token in ids:
                made.ids.append(token)
                made.written.append(place)
                place += place > 0
            if isinstance(piece, Special):
                place = int(piece.name == "<|assistant|>")
        return made
