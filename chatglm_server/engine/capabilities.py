"""The abilities in which engines differ, and those that a request needs."""

from __future__ import annotations

from enum import Enum, auto

from ..chat import ChatRequest, CompletionRequest, TextFormat
from ..errors import UnsupportedParameter


class Capability(Enum):
    """Something that a request may ask for. Every engine can do what has no name here."""

    SEED = auto()
    """Sample the same answer again."""
    CHOICES = auto()
    """Several answers to one request."""
    LOGPROBS = auto()
    LOGIT_BIAS = auto()
    MIN_P = auto()
    PENALTIES = auto()
    """Presence and frequency penalties."""
    IGNORE_EOS = auto()
    STOP_TOKENS = auto()
    RESPONSE_FORMAT = auto()
    """An answer held to JSON, a schema, a regular expression, a list or a grammar."""
    THINKING_BUDGET = auto()
    KEEP_THOUGHTS = auto()
    """Show the model the thoughts of all its earlier answers."""
    CONTINUE = auto()
    """Continue the last message of a conversation."""
    SUFFIX = auto()
    """Fill a gap before a given text."""
    ECHO = auto()
    BEST_OF = auto()
    ANY_MODEL = auto()
    """The engine knows the models: a request may name any."""
    EXTRAS = auto()
    """Another server may understand what this one does not read: `extras` reach it."""
    FOREIGN_CONVERSATION = auto()
    """The same for messages and tools: content that is not text, tools that are not functions."""


LOGITS = frozenset(
    {
        *(Capability.SEED, Capability.CHOICES, Capability.LOGPROBS, Capability.LOGIT_BIAS, Capability.MIN_P),
        *(Capability.PENALTIES, Capability.IGNORE_EOS, Capability.STOP_TOKENS),
        *(Capability.RESPONSE_FORMAT, Capability.THINKING_BUDGET),
    }
)
"""The capabilities of an engine whose model gives logits."""


_REMEDIES = {
    Capability.CONTINUE: "this engine cannot continue the assistant's last message; end with the user's",
    Capability.KEEP_THOUGHTS: "this model is never shown its earlier thoughts; leave it out",
}
_REMEDY = "this model or engine cannot do that; leave it out"


def check_capabilities(request: ChatRequest | CompletionRequest, capabilities: frozenset[Capability]) -> None:
    """Raises: UnsupportedParameter for the first noun of `request` that needs another capability than these."""
    for noun, capability in needed_capabilities(request).items():
        if capability not in capabilities:
            raise UnsupportedParameter(_REMEDIES.get(capability, _REMEDY), param=noun)


def needed_capabilities(request: ChatRequest | CompletionRequest) -> dict[str, Capability]:
    """The nouns of `request` that need a capability, each with it. Neutral values need none."""
    sampling = request.sampling
    asked: list[tuple[str, Capability, bool]] = [
        ("sampling.seed", Capability.SEED, sampling.seed is not None),
        ("sampling.top_logprobs", Capability.LOGPROBS, sampling.top_logprobs is not None),
        ("sampling.logit_bias", Capability.LOGIT_BIAS, bool(sampling.logit_bias)),
        ("sampling.min_p", Capability.MIN_P, bool(sampling.min_p)),
        ("sampling.presence_penalty", Capability.PENALTIES, bool(sampling.presence_penalty)),
        ("sampling.frequency_penalty", Capability.PENALTIES, bool(sampling.frequency_penalty)),
        ("sampling.ignore_eos", Capability.IGNORE_EOS, bool(sampling.ignore_eos)),
        ("sampling.stop_token_ids", Capability.STOP_TOKENS, bool(sampling.stop_token_ids)),
        ("choices", Capability.CHOICES, (request.choices or 1) > 1),
        (
            "response_format",
            Capability.RESPONSE_FORMAT,
            not isinstance(request.response_format, TextFormat | None),
        ),
    ]
    if isinstance(request, ChatRequest):
        asked += [
            ("thinking.budget", Capability.THINKING_BUDGET, request.thinking.budget is not None),
            ("thinking.clear", Capability.KEEP_THOUGHTS, request.thinking.clear is False),
            ("continues", Capability.CONTINUE, bool(request.continues)),
        ]
    else:
        asked += [
            ("suffix", Capability.SUFFIX, bool(request.suffix)),
            ("echo", Capability.ECHO, bool(request.echo)),
            ("best_of", Capability.BEST_OF, (request.best_of or 1) > 1),
        ]
    return {noun: capability for noun, capability, wanted in asked if wanted}
