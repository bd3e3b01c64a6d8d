"""The rules for whole answers. A check returns the fault, "" if the rule is kept, and None if nothing is to be seen."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from .answer import Answer, a_list, a_text, an_object, message_of

REASONS = ("stop", "length", "tool_calls")
_THOUGHT_TAGS = re.compile(r"</?think>")
_CALL_TAGS = re.compile(r"</?(?:tool_call|arg_key|arg_value)>|<\|(?:user|assistant|observation|system)\|>")


def has_fields(value: Any) -> str:
    answer = an_object(value)
    if answer.get("object") != "chat.completion":
        return f"object is {answer.get('object')!r}"
    if fault := identity_fault(answer):
        return fault
    choices = a_list(answer.get("choices"))
    if len(choices) != 1:
        return f"{len(choices)} choices"
    if an_object(choices[0]).get("index") != 0:
        return f"the choice's index is {an_object(choices[0]).get('index')!r}"
    message = message_of(answer)
    if message.get("role") != "assistant":
        return f"the message's role is {message.get('role')!r}"
    return "" if "content" in message else "the message has no content"


def identity_fault(value: dict[str, Any]) -> str:
    """The fault in id, created or model, or ""."""
    for name, kind in (("id", str), ("model", str), ("created", int)):
        if not isinstance(value.get(name), kind) or value[name] == "":
            return f"{name} is {value.get(name)!r}"
    return ""


def usage_adds_up(value: Any) -> str:
    return usage_fault(an_object(value).get("usage"))


def usage_fault(usage: Any) -> str:
    """The fault in the figures, or ""."""
    figures = an_object(usage)
    counts = [figures.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    prompt, completion, total = (count if isinstance(count, int) else -1 for count in counts)
    if min(prompt, completion, total) < 0:
        return f"usage is {json.dumps(usage)[:90]}"
    return "" if prompt + completion == total else f"{prompt} and {completion} are not {total} tokens"


def calls_are_whole(value: Any) -> str | None:
    calls = [an_object(call) for call in a_list(message_of(value).get("tool_calls"))]
    for call in calls:
        function = an_object(call.get("function"))
        if not a_text(call.get("id")) or call.get("type") != "function":
            return f"id is {call.get('id')!r} and type {call.get('type')!r}"
        if not a_text(function.get("name")) or not isinstance(function.get("arguments"), str):
            return f"name is {function.get('name')!r} and arguments {str(function.get('arguments'))[:60]!r}"
        if "index" in call:
            return "index, which belongs to streams"
    if len({call["id"] for call in calls}) < len(calls):
        return "two calls have one id"
    return "" if calls else None


def content_is_null(value: Any) -> str | None:
    message = message_of(value)
    if not a_list(message.get("tool_calls")) or a_text(message.get("content")).strip():
        return None
    return "" if message.get("content") is None else f"content is {message.get('content')!r}"


WHOLE_RULES: dict[str, Callable[[Any], str | None]] = {
    "whole-answer": has_fields,
    "usage": usage_adds_up,
    "call": calls_are_whole,
    "content-null": content_is_null,
}
"""Rule → its check on the JSON of a whole answer."""


def judge_reason(answer: Answer) -> str:
    if answer.reason not in REASONS:
        return f"finish_reason is {answer.reason!r}"
    if answer.reason == "tool_calls" and not answer.calls:
        return "tool_calls, without a call"
    return "stop, after calls" if answer.reason == "stop" and answer.calls else ""


def judge_arguments(answer: Answer) -> str | None:
    """A call that was cut off by a limit of tokens cannot be judged."""
    if not answer.calls or answer.reason == "length":
        return None
    wrong = [call.arguments for call in answer.calls if not isinstance(call.value, dict)]
    return f"arguments are {wrong[0][:90]!r}" if wrong else ""


def judge_text(answer: Answer, tools: list[str]) -> str:
    """`tools` are the names that the request declared: without tools, what looks like a call is text."""
    if found := _THOUGHT_TAGS.search(answer.content):
        return f"content holds {found[0]}"
    if not tools:
        return ""
    if found := _CALL_TAGS.search(answer.content):
        return f"content holds {found[0]}"
    names = "|".join(map(re.escape, tools))
    found = re.search(rf"^(?:{names})\s*\n\s*(?:\{{|```)|tool_call\(", answer.content, re.MULTILINE)
    return f"content holds a call: {found[0]!r}" if found else ""


def models_fault(value: Any) -> str:
    """The fault in a list of models, or ""."""
    models = an_object(value).get("data")
    if an_object(value).get("object") != "list" or not a_list(models):
        return "it is no list of models"
    for model in map(an_object, a_list(models)):
        for name, kind in (("id", str), ("created", int), ("owned_by", str)):
            if not isinstance(model.get(name), kind):
                return f"a model's {name} is {model.get(name)!r}"
        if model.get("object") != "model":
            return f"a model's object is {model.get('object')!r}"
    return ""


def context_length(model: dict[str, Any]) -> int:
    """The tokens of context in an entry of a list of models, or 0. Servers have several names for it."""
    lengths = [model.get(name) for name in ("context_length", "max_model_len", "max_context_length", "context_window")]
    return next((length for length in lengths if isinstance(length, int)), 0)
