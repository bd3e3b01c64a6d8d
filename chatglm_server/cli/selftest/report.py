"""The rules of the wire in words, and what was seen of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

_LONGEST_FAULT = 200
State = Literal["kept", "broken", "not seen"]

RULES = {
    "models-list": "GET /v1/models lists models, each with id, object, created and owned_by",
    "answered": "a valid request gets status 200 and an answer",
    "whole-answer": "a whole answer has id, object, created, model, and a choice with a message of the assistant",
    "usage": "usage counts prompt and answer in tokens, and their sum",
    "finish-reason": "an answer ends by stop or length, or by tool_calls if it has calls that are whole",
    "call": "a whole answer's calls have an id of their own, a type, a name, arguments as text, and no index",
    "call-arguments": "a call's arguments are the text of one JSON object",
    "content-null": "content is null if the answer is only calls",
    "not-as-text": "calls, thoughts and their tags do not reach the client as content",
    "event-stream": "a stream is text/event-stream and not cached",
    "framing": "an event is one line of data in UTF-8 and an empty line; all else is comments",
    "done": "data: [DONE] comes once, last",
    "chunk-fields": "each chunk has object and the stream's id, created and model",
    "choices": "each chunk has choices, empty only beside usage",
    "role-once": "the first delta has the role assistant, no later one has a role",
    "finish-once": "each choice has finish_reason, null until the last one",
    "finish-alone": "the chunk with finish_reason has no text and no call",
    "usage-asked": "usage comes after the finish, with empty choices, if include_usage asks for it",
    "usage-unasked": "no usage comes in a stream that did not ask for it",
    "call-start": "a call's first delta has index, id, type function, the whole name, and arguments",
    "call-fragments": "a call's later deltas have only index and arguments",
    "call-index": "calls are numbered from 0, in order, one a chunk",
    "call-ids": "each call of a stream has an id of its own",
    "no-filler": "no empty content comes after a call has begun",
    "same-answer": "a stream joins to the whole answer to the same request",
    "thoughts-apart": "thoughts are in reasoning_content, before content, and in no delta with it",
    "tool-choice-required": "tool_choice required gives a call",
    "tool-choice-named": "a named tool_choice gives a call of that tool",
    "tool-choice-none": "tool_choice none gives no call",
    "parallel-off": "parallel_tool_calls false gives at most one call",
    "tool-results": "an answer follows on calls without content and several results",
    "history": "developer messages, content in parts, and reasoning_content of earlier answers are taken",
    "stop-strings": "a stop string ends the answer, and is never sent",
    "max-tokens": "max_tokens and max_completion_tokens end the answer with length",
    "unknown-fields": "unknown fields and hints are ignored",
    "null-fields": "null is as if the field were left out",
    "error-status": "a bad request gets a status from 400 to 499",
    "error-shape": 'an error is {"error": {"message", "type", "param", "code"}}',
    "error-first": "a bad request for a stream gets the same error, not a stream",
    "too-long": "a prompt longer than the context that the list of models names gets 400 and code "
    "context_length_exceeded",
    "disconnect": "once a client has left a stream, the next request is answered soon",
}
"""Name → what the rule says."""


@dataclass(slots=True)
class Verdict:
    """How often a rule was kept, and its faults, each with the request that showed it."""

    kept: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def state(self) -> State:
        if self.faults:
            return "broken"
        return "kept" if self.kept else "not seen"


class Report:
    """A verdict for each rule."""

    def __init__(self) -> None:
        self.verdicts = {rule: Verdict() for rule in RULES}

    def judge(self, rule: str, request: str, fault: str | None) -> None:
        """`fault` says how the answer to `request` broke the rule. "": it was kept. None: nothing was to be seen."""
        verdict = self.verdicts[rule]
        if fault:
            text = " ".join(fault.split())
            shown = text if len(text) <= _LONGEST_FAULT else f"{text[:_LONGEST_FAULT]}…"
            printable = "".join(character if character.isprintable() else "\ufffd" for character in shown)
            verdict.faults.append(f"{request}: {printable}")
        elif fault is not None:
            verdict.kept += 1

    def count(self, state: State) -> int:
        return sum(verdict.state == state for verdict in self.verdicts.values())
