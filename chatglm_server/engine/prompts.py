"""From a conversation to the tokens of a prompt that fits the model's context."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..answer import Answer
from ..chat import ChatRequest, Message, Thinking
from ..errors import ContextLengthExceeded, InvalidRequest, UnsupportedParameter
from ..formats.base import CannotRender, ChatFormat, Prompt, Special
from ..log_once import log_once
from ..model_files.tokenizer import Tokenizer, encode_prompt
from .answer_grammar import with_schema
from .base import ModelInfo, Token
from .sampled_answers import Notes, Place, SampledAnswers


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """The tokens of a conversation. Those from `answer_start` on stand behind the last ``<|assistant|>``, at `place`.

    An answer to it that comes back later is found by `place`. It is None in formats without such a token.
    """

    ids: list[int]
    answer_start: int
    place: bytes | None


class Prompts:
    """Renders prompts as the model's generation writes them, and encodes them."""

    def __init__(
        self, info: ModelInfo, chat_format: ChatFormat, tokenizer: Tokenizer, notes: Callable[[], Notes | None]
    ) -> None:
        """`notes` as for `SampledAnswers`."""
        self._info = info
        self._format = chat_format
        self._tokenizer = tokenizer
        self._sampled = SampledAnswers(notes)

    def render(self, request: ChatRequest, history: Sequence[Message]) -> Prompt:
        """The prompt that asks for an answer to `history`, the messages of `request`. Raises: InvalidRequest."""
        tools = request.callable_tools
        if tools and not self._format.supports_tools:
            name = f"{self._info.id} ({self._format.name})"
            raise InvalidRequest(f"{name} was not trained to call tools; send the request without tools", param="tools")
        self._check_thinking(request.thinking)
        try:
            return self._format.render(with_schema(history, request.response_format), tools, request.thinking)
        except CannotRender as error:
            raise InvalidRequest(str(error), param=error.param) from None

    async def encode(self, prompt: Prompt, param: str) -> list[int]:
        """Token ids of `prompt`, encoded beside the event loop. Text that cannot fit the context is refused before.

        Raises: ContextLengthExceeded.
        """
        self.check_length(len(prompt.text) // self._tokenizer.longest_token, param)
        return await asyncio.to_thread(encode_prompt, self._tokenizer, prompt)

    async def encode_conversation(self, prompt: Prompt) -> EncodedPrompt:
        """A rendered conversation, encoded beside the event loop. Earlier answers of this server are read as the tokens
        that they were sampled as.

        Raises: ContextLengthExceeded.
        """
        self.check_length(len(prompt.text) // self._tokenizer.longest_token, "messages")
        return await asyncio.to_thread(self._encode_conversation, prompt)

    def _encode_conversation(self, prompt: Prompt) -> EncodedPrompt:
        ids: list[int] = []
        place, read = Place(), 0

        def read_up_to(end: int) -> None:
            nonlocal read
            add(encode_prompt(self._tokenizer, Prompt(prompt.pieces[read:end])))
            read = end

        def add(tokens: Sequence[int]) -> None:
            ids.extend(tokens)
            place.go_on(tokens)

        for answer in prompt.answers:
            read_up_to(answer.start)
            sampled = self._sampled.find(place.key, answer)
            if sampled is not None:
                add(sampled)
                read = answer.end
        if not prompt.answer_start:
            read_up_to(len(prompt.pieces))
            return EncodedPrompt(ids, len(ids), None)
        read_up_to(prompt.answer_start)
        start, key = len(ids), place.key
        read_up_to(len(prompt.pieces))
        return EncodedPrompt(ids, start, key)

    def keep_answer(self, prompt: EncodedPrompt, begun: Message | None, tokens: Sequence[int], answer: Answer) -> None:
        """Keep the `tokens` of an `answer` to `prompt` for when it comes back. If it went on from the message `begun`,
        the client puts both together.
        """
        if prompt.place is not None:
            before, opening = prompt.ids[: prompt.answer_start], prompt.ids[prompt.answer_start :]
            self._sampled.add(prompt.place, before, [*opening, *tokens], answer, begun)

    def check_length(self, tokens: int, param: str) -> None:
        """Raises: ContextLengthExceeded if no token of an answer fits behind so many."""
        context = self._info.context_length
        if tokens >= context:
            raise ContextLengthExceeded(
                f"the prompt has {tokens} tokens, but this model's context holds {context}, answer included; "
                "shorten the conversation or the tools",
                length=tokens,
                limit=context,
                param=param,
            )

    def tokens(self, text: str) -> list[Token]:
        """The tokens of the bare prompt `text`."""
        result: list[Token] = []
        for piece in self._format.bare_prompt(text).pieces:
            if isinstance(piece, Special):
                result.append(Token(self._tokenizer.specials[piece.name], piece.name, special=True))
            else:
                ids = self._tokenizer.encode_text(piece)
                result += (Token(token, self._tokenizer.piece(token)) for token in ids)
        return result

    def _check_thinking(self, thinking: Thinking) -> None:
        """Raises: UnsupportedParameter if the model cannot think, or cannot be kept from it."""
        model, can = f"{self._info.id} ({self._format.name})", self._format.thinking
        noun = "thinking.effort" if thinking.enabled is None else "thinking.enabled"
        if thinking.enabled and not can.on:
            raise UnsupportedParameter(f"{model} was not trained to think first; leave it out", param=noun)
        if thinking.wanted and not can.on:  # an effort is a hint
            log_once(f"{model} does not think first: requests for a reasoning effort change nothing")
        if thinking.wanted is False and not can.off:
            raise UnsupportedParameter(f"{model} always thinks first; leave it out", param=noun)
