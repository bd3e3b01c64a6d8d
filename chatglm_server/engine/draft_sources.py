"""What an answer is likely to repeat besides its prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ..chat import ChatRequest
from ..decoding.drafting.prompt_lookup import PromptLookup
from ..decoding.drafting.recent_answers import RecentAnswers
from ..decoding.drafting.spellings import other_spellings
from ..model_files.tokenizer import Tokenizer

_MOST_CHARACTERS = 8  # of a prediction, for each token of the context
_MOST_RESPELLED = 65_536  # characters of a conversation, which takes some ten milliseconds


class DraftSources:
    """The texts of one request: what the client predicts, and other spellings of what users and tools wrote last."""

    def __init__(self, prediction: Sequence[int] = (), respelled: Sequence[int] = ()) -> None:
        self._prediction = prediction
        self._respelled = respelled

    @classmethod
    async def of(cls, request: ChatRequest, tokenizer: Tokenizer, context_length: int) -> DraftSources:
        """Those of `request`, encoded beside the event loop."""
        predicted = (request.prediction or "")[: _MOST_CHARACTERS * context_length]
        texts = [message.content for message in request.messages if message.role in ("user", "tool")]
        in_json = bool(request.callable_tools or request.response_format)

        def sources() -> DraftSources:
            spelled = other_spellings(texts, _MOST_RESPELLED, in_json=in_json)
            respelled = [token for text in spelled for token in tokenizer.encode_text(text)]
            return cls(tokenizer.encode_text(predicted), respelled)

        return await asyncio.to_thread(sources)

    def drafter(self, prompt_length: int, recent: RecentAnswers) -> PromptLookup:
        """The drafter of one answer to a prompt of so many tokens."""
        return PromptLookup(prompt_length, self._prediction, [*recent.tokens, *self._respelled])
