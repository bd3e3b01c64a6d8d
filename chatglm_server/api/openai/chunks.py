"""What clients get: OpenAI's objects, whole or as the chunks of a stream."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ...answer import Answer
from ...chat import (
    Accepted,
    Event,
    Finish,
    ParserEvent,
    ReasoningDelta,
    TextDelta,
    TokenSampled,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from ...engine.base import ModelInfo
from .logprobs import TextLogprobs, chat_logprobs

Json = dict[str, Any]
MAX_TOKENS_HELD = 64
"""Log probabilities that wait for the next chunk of text; where none comes they are sent without."""


def usage_object(usage: Usage) -> Json:
    """OpenAI's `usage`. Our counts are sums over all prompts, so they replace those in the backend's details."""
    counts: Json = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
    if usage.reasoning_tokens is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    for name, value in usage.details.items():
        if isinstance(value, Mapping):
            counts[name] = {**value, **counts.get(name, {})}
        else:
            counts.setdefault(name, value)
    return counts


def model_object(info: ModelInfo) -> Json:
    """An entry of ``/v1/models``; `unit` says what lengths and usage count."""
    return {
        "id": info.id,
        "object": "model",
        "created": info.created,
        "owned_by": "chatglm-server",
        "context_length": info.context_length or None,
        "unit": info.unit,
        "chat_format": info.chat_format,
        "supports_tools": info.supports_tools,
        "aliases": list(info.aliases),
    }


class ChatCompletion:
    """The shapes of one request's chat answers; id, time and model are the same in all of them.

    With `report_repairs` each call that was mended says how, in ``x_repairs``.
    """

    def __init__(self, model: str, *, report_repairs: bool = False) -> None:
        self._report_repairs = report_repairs
        self._common = {"id": "chatcmpl-" + secrets.token_hex(12), "created": int(time.time()), "model": model}
        self._tokens: defaultdict[int, list[TokenSampled]] = defaultdict(list)  # not yet sent, by choice

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The answers to a client that does not stream. Needs finished answers."""
        choices = []
        for index, answer in enumerate(answers):
            choice = {"index": index, "message": self._message(answer), "logprobs": chat_logprobs(answer.tokens)}
            choices.append(choice | {"finish_reason": answer.finished().reason})
        usage = usage_object(sum((answer.finished().usage for answer in answers), Usage()))
        return {**self._common, "object": "chat.completion", "choices": choices, "usage": usage}

    def _message(self, answer: Answer) -> Json:
        message: Json = {"role": "assistant", "content": answer.content or None, "refusal": None}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if answer.tool_calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                | ({"x_repairs": list(call.repairs)} if call.repairs and self._report_repairs else {})
                for call in answer.tool_calls
            ]
        elif not answer.content:
            message["content"] = ""
        return message

    def first_chunk(self, choice: int = 0) -> Json:
        """The chunk that opens an answer: the role, once."""
        return self._chunk(choice, {"role": "assistant", "content": ""})

    def chunk(self, event: Event) -> Json | None:
        """The chunk that `event` becomes; none for events that are not sent, or with a later one."""
        if isinstance(event, Accepted):
            return None
        if isinstance(event, TokenSampled):
            self._tokens[event.choice].append(event)
            return self._chunk(event.choice, {}) if len(self._tokens[event.choice]) >= MAX_TOKENS_HELD else None
        if isinstance(event, Finish):
            return self._chunk(event.choice, {}, event.reason)
        delta = self._delta(event)
        return None if delta is None else self._chunk(event.choice, delta)

    def _delta(self, event: ParserEvent) -> Json | None:
        if isinstance(event, TextDelta | ToolCallAbandoned):  # a call that is none is text: nothing may be lost
            return {"content": event.text} if event.text else None
        if isinstance(event, ReasoningDelta):
            return {"reasoning_content": event.text}
        if isinstance(event, ToolCallStart):
            function = {"name": event.name, "arguments": ""}
            return {"tool_calls": [{"index": event.index, "id": event.id, "type": "function", "function": function}]}
        if isinstance(event, ToolCallDelta):
            return {"tool_calls": [{"index": event.index, "function": {"arguments": event.arguments}}]}
        if not self._report_repairs:
            return None
        # strict clients want the function in every delta of a call
        call = {"index": event.index, "function": {"arguments": ""}, "x_repairs": list(event.repairs)}
        return {"tool_calls": [call]}

    def usage_chunk(self, usage: Usage) -> Json:
        """The chunk after the finish chunks, for clients that asked for it."""
        return {**self._common, "object": "chat.completion.chunk", "choices": [], "usage": usage_object(usage)}

    def _chunk(self, index: int, delta: Json, finish_reason: str | None = None) -> Json:
        logprobs = chat_logprobs(self._tokens.pop(index, ()))
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return {**self._common, "object": "chat.completion.chunk", "choices": [choice]}


class TextCompletion:
    """The shapes of one request's answers of ``/v1/completions``; whole and streamed ones are alike."""

    def __init__(self, model: str) -> None:
        self._common = {
            "id": "cmpl-" + secrets.token_hex(12),
            "object": "text_completion",
            "created": int(time.time()),
            "model": model,
        }
        self._logprobs: defaultdict[int, TextLogprobs] = defaultdict(TextLogprobs)

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The answers to all prompts. Needs finished answers."""
        choices = []
        for index, answer in enumerate(answers):
            for event in answer.tokens:
                self._logprobs[index].add(event)
            choices.append(self._choice(index, answer.content, answer.finished().reason))
        usage = usage_object(sum((answer.finished().usage for answer in answers), Usage()))
        return {**self._common, "choices": choices, "usage": usage}

    def chunk(self, event: Event) -> Json | None:
        """The chunk that `event` becomes; none for events that are not sent, or with a later one."""
        if isinstance(event, TokenSampled):
            self._logprobs[event.choice].add(event)
            if self._logprobs[event.choice].held < MAX_TOKENS_HELD:
                return None
            return {**self._common, "choices": [self._choice(event.choice, "", None)]}
        if isinstance(event, TextDelta):
            return {**self._common, "choices": [self._choice(event.choice, event.text, None)]}
        if isinstance(event, Finish):
            return {**self._common, "choices": [self._choice(event.choice, "", event.reason)]}
        return None

    def usage_chunk(self, usage: Usage) -> Json:
        """The last chunk, for clients that asked for it."""
        return {**self._common, "choices": [], "usage": usage_object(usage)}

    def _choice(self, index: int, text: str, finish_reason: str | None) -> Json:
        logprobs = self._logprobs[index].taken()
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}
