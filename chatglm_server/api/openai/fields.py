"""How OpenAI's clients call the nouns of chat.py: one noun may have several spellings."""

from __future__ import annotations

import re
from collections.abc import Collection

SPELLINGS: dict[str, tuple[str, ...]] = {
    "sampling.max_tokens": ("max_completion_tokens", "max_tokens"),
    "sampling.top_logprobs": ("logprobs",),
    "choices": ("n",),
    "prompts": ("prompt",),
    "tools": ("tools", "functions"),
    "tool_choice": ("tool_choice", "function_call"),
    "continues": ("continue_final_message", "add_generation_prompt"),
    "thinking.enabled": ("enable_thinking",),
    "thinking.effort": ("reasoning_effort", "reasoning"),
    "thinking.clear": ("clear_thinking",),
    "thinking.budget": ("thinking_budget", "thinking_budget_tokens", "thinking", "reasoning"),
    "response_format": (
        *("response_format", "structured_outputs", "json_schema", "grammar", "regex", "ebnf"),
        *("guided_json", "guided_regex", "guided_choice", "guided_grammar"),
    ),
    "response_format.schema": (
        *("response_format.json_schema.schema", "structured_outputs", "json_schema", "guided_json"),
    ),
}
"""Noun → fields. Of those that the client did not send, the first one names the noun in an error."""

_NOUN = re.compile(r"\w+(\.[a-z_]+)?")


def field_of(noun: str, sent: Collection[str]) -> str:
    """The field of a request that says `noun`, of those `sent`; a place in it, such as ``[3].content``, stays."""
    match = _NOUN.match(noun)
    head = match[0] if match else noun
    if head not in SPELLINGS:
        return noun.removeprefix("sampling.")
    fields = SPELLINGS[head]
    return next((name for name in fields if name in sent), fields[0]) + noun[len(head) :]
