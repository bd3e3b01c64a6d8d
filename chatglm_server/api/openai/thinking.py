"""How to think, and if at all: every spelling of it that clients of OpenAI-compatible servers use."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from ...chat import Thinking
from ...errors import InvalidRequest
from ..http.body import few_entries
from ..validation import read

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class TemplateArguments(BaseModel):
    """Arguments of the models' chat templates. Another argument would be ignored silently, so it is refused."""

    model_config = ConfigDict(extra="forbid")

    enable_thinking: bool | None = None
    clear_thinking: bool | None = None
    reasoning_effort: Effort | None = None
    thinking_budget: int | None = None


class ThinkingBody(BaseModel):
    """Z.ai's own switch; the budget is Anthropic's."""

    type: Literal["enabled", "disabled"] | None = None
    clear_thinking: bool | None = None
    budget_tokens: int | None = None


class ReasoningBody(BaseModel):
    """The effort as the Responses API has it, and the budget as OpenRouter has it."""

    effort: Effort | None = None
    max_tokens: int | None = None


class ThinkingFields(Protocol):
    """The fields of a body that say how to think, as the client sent them."""

    reasoning_effort: Any
    reasoning: Any
    enable_thinking: Any
    thinking: Any
    chat_template_kwargs: Any
    thinking_budget: Any
    thinking_budget_tokens: Any


def read_thinking(body: ThinkingFields, *, foreign: bool) -> Thinking:
    """Reads the fields. `foreign`: another server reads them too, so values unknown to this one are passed over.

    Raises: InvalidRequest.
    """
    template = _object(TemplateArguments, body.chat_template_kwargs, "chat_template_kwargs", foreign)
    own = _object(ThinkingBody, body.thinking, "thinking", foreign)
    reasoning = _object(ReasoningBody, body.reasoning, "reasoning", foreign)
    switch = None if own.type is None else own.type == "enabled"
    effort = _value(Effort, body.reasoning_effort, "reasoning_effort", foreign)
    return Thinking(
        enabled=_agreed(
            "enable_thinking",
            foreign,
            template.enable_thinking,
            _value(bool, body.enable_thinking, "enable_thinking", foreign),
            switch,
        ),
        effort=_agreed("reasoning_effort", foreign, template.reasoning_effort, effort, reasoning.effort),
        clear=_agreed("clear_thinking", foreign, template.clear_thinking, own.clear_thinking),
        budget=_agreed(
            "thinking_budget",
            foreign,
            template.thinking_budget,
            own.budget_tokens,
            reasoning.max_tokens,
            _value(int, body.thinking_budget, "thinking_budget", foreign),
            _value(int, body.thinking_budget_tokens, "thinking_budget_tokens", foreign),
        ),
    )


def _object(kind: type[M], value: Any, where: str, foreign: bool) -> M:
    if not foreign and isinstance(value, dict):
        few_entries(value, where)
    if foreign and isinstance(value, dict):
        value = {name: item for name, item in value.items() if name in kind.model_fields}
    return _value(kind, value, where, foreign) or kind()


def _value(kind: Any, value: Any, where: str, foreign: bool) -> Any:
    if value is None:
        return None
    try:
        return read(kind, value, where)
    except InvalidRequest:
        if foreign:
            return None
        raise


def _agreed(field: str, foreign: bool, *values: T | None) -> T | None:
    """The value of fields that mean the same. Raises: InvalidRequest if they contradict each other."""
    said = [value for value in values if value is not None]
    if any(value != said[0] for value in said) and not foreign:
        raise InvalidRequest(f"the request says more than one thing about {field}", param=field)
    return said[0] if said else None
