"""The thinking settings of a request, and thoughts as blocks with a signature.

A thought comes with a signature, which clients send back unread. A client may ask for thoughts without their text; the
signature then holds the text, so that the model finds its thought in the next prompt, and the KV cache its tokens.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from ...chat import Thinking
from ...engine.capabilities import Capability
from ...log_once import log_once
from ..sealed_thoughts import sealed, unsealed

_UNSIGNED = "unsigned"
"""The signature of a thought whose text is shown. The API says that there is one."""

_CLEARS_THOUGHTS = "clear_thinking_"
"""Begins the type of the edit that says which thoughts leave the conversation; a date follows."""

_ALL: tuple[Any, ...] = ("all", {"type": "all"})

Effort = Literal["low", "medium", "high", "xhigh", "max"]


class ThinkingConfig(BaseModel):
    """Turns thinking on or off; ``adaptive`` lets the model decide."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: int | None = Field(None, description="most tokens of thought")
    display: Literal["summarized", "omitted"] | None = Field(None, description="omitted: thoughts have no text")


def keeps_thoughts(context_management: Any) -> bool:
    """True if the client wants all its earlier thoughts in the prompt. Other edits, and odd values, change nothing.

    Claude Code wants them: a prompt that loses thoughts with each question has to be read again from there.
    """
    edits = context_management.get("edits") if isinstance(context_management, dict) else None
    for edit in edits if isinstance(edits, list) else ():
        kind = edit.get("type") if isinstance(edit, dict) else None
        if isinstance(kind, str) and kind.startswith(_CLEARS_THOUGHTS) and edit.get("keep") in _ALL:
            return True
    return False


def read_thinking(
    config: ThinkingConfig | None, effort: Effort | None, capabilities: frozenset[Capability], *, kept: bool
) -> Thinking:
    """The noun. Agents ask every model to think, so that is an effort: a hint to models that cannot.

    The API's default effort is "high". Agents send budgets unasked: an engine without them thinks without a limit.
    In the same way thoughts are `kept` where the model can read them.
    """
    clear = False if kept and Capability.KEEP_THOUGHTS in capabilities else None
    if config is None:
        return Thinking(effort=effort, clear=clear)
    if config.type == "disabled":
        return Thinking(enabled=False, clear=clear)
    budget = config.budget_tokens
    if budget is not None and Capability.THINKING_BUDGET not in capabilities:
        log_once("thinking.budget_tokens changes nothing: this engine has no limit for thoughts")
        budget = None
    return Thinking(effort=effort or "high", clear=clear, budget=budget)


def signature(thought: str, *, shown: bool) -> str:
    """The signature of `thought`, whose text the client gets if it is `shown`."""
    return _UNSIGNED if shown else sealed(thought)


def thought_in(thinking: str, signed: str) -> str:
    """The thought of a block that came back: its text, or what its signature holds; "" if that is not ours."""
    return thinking or unsealed(signed) or ""
