"""That a prompt is too long, in the words of other servers, and what looks like it."""

from __future__ import annotations

from typing import Any

import pytest

from chatglm_server.engine.upstream.context_errors import read_too_long

MOST = "This model's maximum context length is 4096 tokens"
TOO_LONG = [
    f"{MOST}. However, your messages resulted in 5000 tokens. Please reduce the length of the messages.",
    f"{MOST}. However, you requested 5100 tokens (5000 in the messages, 100 in the completion).",
    f"{MOST}, however you requested 5100 tokens (5000 in your prompt; 100 for the completion).",
    f"{MOST}. However, your request has 5000 input tokens. Please reduce the length of the input messages.",
    f"{MOST}. However, you requested 9 output tokens and your prompt contains at least 5000 input tokens, for a total.",
    f"'max_tokens' is too large: 9. {MOST} and your request has 5000 input tokens (9 > 4096 - 5000).",
    "The input (5000 tokens) is longer than the model's context length (4096 tokens).",
    "Requested token count exceeds the model's maximum context length of 4096 tokens. "
    "You requested a total of 5100 tokens: 5000 tokens from the input messages and 100 tokens for the completion.",
    "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
    "prompt is too long: 5000 tokens > 4096 maximum",
    "the prompt has 5000 tokens, but this model's context holds 4096, answer included; shorten the conversation",
]
OTHER = [
    f"{MOST}. However, you requested 5100 tokens (100 in the messages, 5000 in the completion).",
    f"'max_tokens' is too large: 5000. {MOST} and your request has 100 input tokens (5000 > 4096 - 100).",
    MOST,
    "the request exceeds the available context size",
    f"context length is {'9' * 30} tokens, your messages resulted in {'9' * 40} tokens",
    "",
]


@pytest.mark.parametrize("message", TOO_LONG)
def test_both_lengths_are_read(message: str) -> None:
    assert read_too_long({}, message) == (5000, 4096)


@pytest.mark.parametrize("message", OTHER)
def test_other_faults(message: str) -> None:
    assert read_too_long({}, message) is None


@pytest.mark.parametrize(
    ("fields", "lengths"),
    [
        ({"n_prompt_tokens": 5000, "n_ctx": 4096}, (5000, 4096)),
        ({"n_prompt_tokens": 4096, "n_ctx": 4096}, (4096, 4096)),
        ({"n_prompt_tokens": 100, "n_ctx": 4096}, None),
        ({"n_prompt_tokens": True, "n_ctx": "4096"}, None),
    ],
)
def test_fields_of_llama_server(fields: dict[str, Any], lengths: tuple[int, int] | None) -> None:
    assert read_too_long(fields, "the request exceeds the available context size") == lengths
