"""Reads from another server's error that the prompt is longer than the model's context, and both lengths.

Agents act on this fault, in the words of the API that they speak: Claude Code and Codex then compact the conversation.
OpenAI's API has no fields for the lengths, and each server words them in its own way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_NUMBER = r"\d{1,12}"
_WORDINGS = [
    re.compile(wording, re.DOTALL)
    for wording in (
        # OpenAI, vLLM, SGLang, llama-cpp-python: "maximum context length is 4096 tokens. However, your messages
        # resulted in 5000 tokens", "(5000 in the messages, 100 in the completion)", "contains 5000 input tokens"
        rf"context length (?:is|of) (?P<limit>{_NUMBER}) tokens.*?(?:resulted in |has |contains (?:at least )?|\(|: )"
        rf"(?P<length>{_NUMBER}) (?:input tokens|tokens|in the messages|in your prompt)",
        # llama-server: "request (5000 tokens) exceeds the available context size (4096 tokens)"; SGLang alike
        rf"\((?P<length>{_NUMBER}) tokens\).*?context (?:length|size) \((?P<limit>{_NUMBER}) tokens\)",
        # Anthropic's API, which some servers have behind them
        rf"prompt is too long: (?P<length>{_NUMBER}) tokens > (?P<limit>{_NUMBER}) maximum",
        # this server
        rf"prompt has (?P<length>{_NUMBER}) tokens, but this model's context holds (?P<limit>{_NUMBER})",
    )
]


def read_too_long(error: Mapping[str, Any], message: str) -> tuple[int, int] | None:
    """The prompt's length and the context's, in tokens; None if the error is another one.

    `error` is the server's error object: llama-server has fields for both. A prompt that fits, and is refused for the
    tokens of answer that are asked for, is another fault: a shorter conversation is not what is wanted.
    """
    length, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
    if type(length) is not int or type(limit) is not int:
        found = next((match for wording in _WORDINGS if (match := wording.search(message))), None)
        if found is None:
            return None
        length, limit = int(found["length"]), int(found["limit"])
    return (length, limit) if length >= limit > 0 else None
