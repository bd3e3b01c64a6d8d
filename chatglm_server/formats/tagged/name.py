"""The beginning of a call: its name, and the tags that models write in place of the first ``<arg_key>``."""

from __future__ import annotations

import re
from typing import ClassVar

from ...chat import FinishReason
from ..tool_names import MAX_HEAD, PossibleName
from .arguments import AfterKey, Key, Value
from .bodies import BODY_HEAD, PAIRS_HEAD, JsonBody, Pairs
from .call import Call, Outcome, Phase
from .tags import CALL_END, CALL_START, KEY_END, KEY_START, VALUE_END, VALUE_START, Part, stripped

_NOT_A_NAME = re.compile(r"[\s{=>]")


class Name:
    """The text after ``<tool_call>``."""

    ends_call: ClassVar[bool] = True

    def __init__(self, call: Call) -> None:
        self._call = call
        self._head = ""

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        call = self._call
        if not is_tag:
            self._head += part if self._head else part.lstrip()
            return self._look_at_head()
        written = stripped(self._head)
        if part in (KEY_START, CALL_END):
            if part == CALL_END and not written:
                return Outcome("nothing")
            return _start(call, written, part)
        if part == CALL_START and not written:
            call.repaired("doubled <tool_call>")
            return self
        if part == CALL_START and (name := call.tools.resolve(written)):
            return SecondStart(call, written, name)
        if part in (KEY_END, VALUE_END) and (name := call.tools.declared(written)):
            return AfterName(call, written, name, part)
        if part == KEY_END and (split := call.tools.split(written)):
            call.repaired("missing <arg_key>")
            call.start(split[0], split[0])
            return AfterKey(call, split[1])
        return call.broken(part)

    def _look_at_head(self) -> Phase | Outcome:
        """Text that is not a bare name: the call may do without tags, or the block may be prose."""
        call, head = self._call, self._head[:MAX_HEAD]
        if len(self._head) <= MAX_HEAD and not _NOT_A_NAME.search(head):
            return self
        if body := BODY_HEAD.match(head):
            name = body["name"] and call.tools.before_body(stripped(body["name"]))
            if body["name"] and not name:
                return call.broken()
            return JsonBody(call, name or "").feed(self._head[body.start("json") :], False)
        if (pairs := PAIRS_HEAD.match(head)) and (name := call.tools.before_body(pairs["name"])):
            return Pairs(call, name, self._head[pairs.start("pairs") :])
        if len(head.split(None, 2)) > 2 or len(self._head) > MAX_HEAD or head.partition("{")[2].strip():
            return call.broken()
        return self

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        """A name that the token limit may have cut is not a name."""
        if reason == "length" and not closing and not self._head[-1:].isspace():
            return self._call.not_a_call()
        return _end_without_arguments(self._call, stripped(self._head))


class AfterName:
    """Follows a declared name and a tag that closes something else (`stray`)."""

    ends_call: ClassVar[bool] = True

    def __init__(self, call: Call, written: str, name: str, stray: str) -> None:
        self._call, self._written, self._name, self._stray = call, written, name, stray

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        call = self._call
        if not is_tag:
            return call.broken() if part.strip() else self
        split = call.tools.split(self._written)
        if part == VALUE_START and self._stray == KEY_END and split:
            call.repaired("missing <arg_key>")
            call.start(split[0], split[0])
            return Value(call, split[1])
        if part not in (KEY_START, CALL_END):
            return call.broken(part)
        call.repaired(f"{self._stray} after the name")
        return _start(call, self._written, part)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return _end_without_arguments(self._call, self._written)


class SecondStart:
    """Follows a name and ``<tool_call>``.

    That tag may stand for ``<arg_key>``. If the same name follows, the model began the call twice. If another call
    follows, this one counts if it needs no arguments.
    """

    ends_call: ClassVar[bool] = True

    def __init__(self, call: Call, written: str, name: str) -> None:
        self._call, self._written, self._name = call, written, name
        self._next = PossibleName()
        self._next_at = call.tag_at

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        call = self._call
        if not is_tag:
            return self if self._next.add(part) else self._give_way()
        following = stripped(self._next.text)
        if part == CALL_START and (not following or self._is_same(following)):
            call.repaired("doubled <tool_call>")
            self._next, self._next_at = PossibleName(), call.tag_at
            return self
        if part in (KEY_START, CALL_END) and self._is_same(following):
            call.repaired("doubled <tool_call>")
            return _start(call, following, part)
        if part == KEY_END and following and call.tools.declared(self._written):
            call.repaired("<tool_call> in place of <arg_key>")
            call.start(self._name, self._written)
            return AfterKey(call, following)
        if part in (KEY_START, CALL_END) and call.tools.resolve(following):
            call.tag_at = self._next_at
            return _end_without_arguments(call, self._written, self._leftover(part))
        return self._give_way(part)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        following = stripped(self._next.text)
        whole = reason != "length" or closing or self._next.text[-1:].isspace()
        if whole and self._is_same(following):
            self._call.repaired("doubled <tool_call>")
            return _end_without_arguments(self._call, following)
        return self._give_way()

    def _is_same(self, following: str) -> bool:
        return self._call.tools.resolve(following) == self._name

    def _give_way(self, tag: str | None = None) -> Outcome:
        """The first name is text, and what follows it is read by itself."""
        self._call.tag_at = self._next_at
        return self._call.not_a_call(self._leftover(tag))

    def _leftover(self, tag: str | None) -> list[Part]:
        parts = [(CALL_START, True), (self._next.text, False), (tag or "", True)]
        return [part for part in parts if part[0]]


def _start(call: Call, written: str, tag: str) -> Phase | Outcome:
    """The call begins; `tag` follows its name."""
    name = call.tools.resolve(written)
    if name is None:
        return call.broken()
    call.start(name, written)
    return Key(call) if tag == KEY_START else call.finish()


def _end_without_arguments(call: Call, written: str, leftover: list[Part] | None = None) -> Outcome:
    """The call ends after its name and without its end tag."""
    name = call.tools.declared(written)
    if name is None:
        return call.not_a_call(leftover or ())
    call.start(name, written)
    return call.finish_unclosed(leftover or ())
