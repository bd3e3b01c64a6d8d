"""The rules for streams. A check returns the fault, "" if the rule is kept, and None if nothing is to be seen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from .answer import a_list, a_text, an_object, call_deltas_of, choices_of, deltas_of
from .whole_rules import REASONS, identity_fault, usage_fault
from .wire import Stream


def has_headers(stream: Stream) -> str:
    kind, cached = stream.headers.get("content-type", ""), stream.headers.get("cache-control", "")
    if not kind.startswith("text/event-stream"):
        return f"Content-Type is {kind!r}"
    return "" if "no-cache" in cached or "no-store" in cached else f"Cache-Control is {cached!r}"


def is_framed(stream: Stream) -> str:
    return stream.framing


def is_done_once(stream: Stream) -> str:
    if stream.dones != 1:
        return f"[DONE] came {stream.dones} times"
    return "an event came behind [DONE]" if stream.after_done else ""


def has_chunk_fields(stream: Stream) -> str:
    for chunk in stream.chunks:
        if chunk.get("object") != "chat.completion.chunk":
            return f"object is {chunk.get('object')!r}"
        if fault := identity_fault(chunk):
            return fault
    for name in ("id", "created", "model"):
        values = {json.dumps(chunk.get(name)) for chunk in stream.chunks}
        if len(values) > 1:
            return f"{len(values)} values of {name}"
    return ""


def has_choices(stream: Stream) -> str:
    for chunk in stream.chunks:
        choices = chunk.get("choices")
        if not isinstance(choices, list):
            return f"choices is {choices!r}"
        if not choices and chunk.get("usage") is None:
            return "choices is empty in a chunk without usage"
    return ""


def has_role_once(stream: Stream) -> str:
    roles = ["role" in delta and delta["role"] is not None for delta in deltas_of(stream)]
    first = next(deltas_of(stream), {})
    if first.get("role") != "assistant":
        return f"the first delta's role is {first.get('role')!r}"
    return f"{sum(roles)} deltas have a role" if sum(roles) > 1 else ""


def finishes_once(stream: Stream) -> str:
    choices = list(choices_of(stream))
    if not all("finish_reason" in choice for choice in choices):
        return "a choice has no finish_reason"
    reasons = [choice["finish_reason"] for choice in choices]
    if not reasons or reasons[-1] not in REASONS:
        return f"the last finish_reason is {reasons[-1] if reasons else None!r}"
    early = [reason for reason in reasons[:-1] if reason is not None]
    return f"finish_reason {early[0]!r} before the last chunk" if early else ""


def finishes_alone(stream: Stream) -> str:
    for choice in choices_of(stream):
        delta = an_object(choice.get("delta"))
        if choice.get("finish_reason") and any(
            delta.get(name) for name in ("content", "reasoning_content", "tool_calls")
        ):
            return f"its delta is {json.dumps(delta, ensure_ascii=False)[:90]}"
    return ""


def calls_start_whole(stream: Stream) -> str | None:
    seen = set()
    for call in call_deltas_of(stream):
        if (index := str(call.get("index"))) in seen:
            continue
        seen.add(index)
        function = an_object(call.get("function"))
        if not a_text(call.get("id")) or call.get("type") != "function" or not a_text(function.get("name")):
            return f"a call begins with {_text(call)}"
        if not isinstance(function.get("arguments"), str):
            return f"a call begins without arguments: {_text(call)}"
    return "" if seen else None


def calls_go_on_bare(stream: Stream) -> str | None:
    seen, later = set(), False
    for call in call_deltas_of(stream):
        index = str(call.get("index"))
        later |= index in seen
        if index in seen and (set(call) != {"index", "function"} or set(an_object(call["function"])) != {"arguments"}):
            return f"a call goes on with {_text(call)}"
        seen.add(index)
    return "" if later else None


def calls_are_numbered(stream: Stream) -> str | None:
    last = -1
    for call in call_deltas_of(stream):
        index = call.get("index")
        if not isinstance(index, int) or not max(0, last) <= index <= last + 1:
            return f"index {index!r} after {last}" if last >= 0 else f"the first index is {index!r}"
        last = index
    if any(len(a_list(delta.get("tool_calls"))) > 1 for delta in deltas_of(stream)):
        return "several calls in one chunk"
    return None if last < 0 else ""


def calls_have_own_ids(stream: Stream) -> str | None:
    ids: dict[str, set[str]] = {}
    for call in call_deltas_of(stream):
        if a_text(call.get("id")):
            ids.setdefault(str(call.get("index")), set()).add(call["id"])
    if any(len(of_one) > 1 for of_one in ids.values()):
        return "one call has several ids"
    if len(set.union(*ids.values()) if ids else ()) < len(ids):
        return "two calls have one id"
    return "" if ids else None


def has_no_filler(stream: Stream) -> str | None:
    begun = False
    for delta in deltas_of(stream):
        if begun and delta.get("content") == "":
            return "an empty content after a call began"
        begun |= bool(a_list(delta.get("tool_calls")))
    return "" if begun else None


def keeps_thoughts_apart(stream: Stream) -> str | None:
    thought = said = False
    for delta in deltas_of(stream):
        if a_text(delta.get("reasoning")) and "reasoning_content" not in delta:
            return "thoughts are in a field reasoning"
        if a_text(delta.get("reasoning_content")):
            if a_text(delta.get("content")):
                return "a delta has content and reasoning_content"
            if said:
                return "a thought after content or a call"
            thought = True
        said |= bool(a_text(delta.get("content")) or delta.get("tool_calls"))
    return "" if thought else None


STREAM_RULES: dict[str, Callable[[Stream], str | None]] = {
    "event-stream": has_headers,
    "framing": is_framed,
    "done": is_done_once,
    "chunk-fields": has_chunk_fields,
    "choices": has_choices,
    "role-once": has_role_once,
    "finish-once": finishes_once,
    "finish-alone": finishes_alone,
    "call-start": calls_start_whole,
    "call-fragments": calls_go_on_bare,
    "call-index": calls_are_numbered,
    "call-ids": calls_have_own_ids,
    "no-filler": has_no_filler,
    "thoughts-apart": keeps_thoughts_apart,
}
"""Rule → its check on a stream."""


def judge_usage(stream: Stream) -> str:
    """Of a stream that asked for usage."""
    last = stream.chunks[-1] if stream.chunks else {}
    if last.get("choices") != []:
        return "the last chunk has choices, not usage alone"
    if fault := usage_fault(last.get("usage")):
        return fault
    return "usage came before the last chunk" if any(chunk.get("usage") for chunk in stream.chunks[:-1]) else ""


def judge_no_usage(stream: Stream) -> str:
    """Of a stream that did not ask for it."""
    return "usage came" if any(chunk.get("usage") is not None for chunk in stream.chunks) else ""


def error_in(stream: Stream) -> str:
    """An error that ended a stream, or ""."""
    return next((f"the error {_text(chunk['error'])}" for chunk in stream.chunks if chunk.get("error")), "")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)[:120]
