"""The arguments of a call: keys and values.

<arg_key>KEY</arg_key> <arg_value>VALUE</arg_value> …
"""

from __future__ import annotations

from typing import ClassVar

from ...chat import FinishReason
from ..base import THINK_END, THINK_START
from ..values.argument_values import ArgumentValues
from .call import Call, Outcome, Phase
from .tags import CALL_END, CALL_START, KEY_END, KEY_START, VALUE_END, VALUE_START, Gap, Part, stripped
from .value_end import AfterCallEnd, AfterValue, Held, KeyInValue, NextCall


class Key:
    """The text after ``<arg_key>``."""

    ends_call: ClassVar[bool] = False

    def __init__(self, call: Call) -> None:
        self._call = call
        self._text: list[str] = []

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        call = self._call
        if not is_tag:
            self._text.append(part)
            return self
        text = "".join(self._text)
        if part == KEY_START and not text.strip():
            call.repaired("doubled <arg_key>")
            self._text.clear()  # so that a thousand of these do not each read the blanks of all before
            return self
        key = stripped(text)
        if not key or part not in (KEY_END, VALUE_END, VALUE_START):
            return call.broken(part)
        if part == VALUE_START:
            call.repaired("missing </arg_key>")
            return Value(call, key)
        if part == VALUE_END:
            call.repaired("</arg_value> in place of </arg_key>")
        return AfterKey(call, key)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._call.end_broken(reason)


class AfterKey:
    """The gap after ``</arg_key>``."""

    ends_call: ClassVar[bool] = False

    def __init__(self, call: Call, key: str) -> None:
        self._call, self._key, self._gap = call, stripped(key), Gap()

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        call = self._call
        if not is_tag:
            rest = self._gap.skip(part)
            return self._value_without_start(rest) if rest else self
        if self._gap.backslash:
            return self._value_without_start("\\").feed(part, True)
        if part == VALUE_START:
            return Value(call, self._key)
        if part == VALUE_END:
            return self._value_without_start("").feed(part, True)
        if part == KEY_END:
            call.repaired("doubled </arg_key>")
            return self
        return call.broken(part)

    def _value_without_start(self, text: str) -> Value:
        self._call.repaired("missing <arg_value>")
        value = Value(self._call, self._key)
        value.add(text)
        return value

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._call.end_broken(reason)


class Value:
    """The text of an open value.

    After ``</think>`` the text is kept apart: if the value is not closed, the model gave up the call with its thought.
    """

    ends_call: ClassVar[bool] = False

    def __init__(self, call: Call, key: str) -> None:
        call.open(key)
        self.call = call
        self._key = key
        self._add = call.writer.add
        self._after_thought: list[str] | None = None
        self._may_nest = call.values.is_object(key)

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        if not is_tag:
            if self._may_nest or self._after_thought is not None:
                self.add(part)
            elif out := self._add(part):
                self.call.send(out)
            return self
        if part == THINK_END:
            if self._after_thought is None:
                self._after_thought = []
            self._after_thought.append(part)
            return self
        if part in (VALUE_START, THINK_START):
            self.add(part)
            return self
        held = Held(self, part)
        if part == VALUE_END:
            return AfterValue(held)
        if part == CALL_END:
            return AfterCallEnd(held)
        if part == KEY_START:
            return KeyInValue(held)
        if part == CALL_START and self._after_thought is not None:
            return NextCall(held, value_open=True)
        return held.release()

    def add(self, text: str) -> None:
        """The text is part of the value."""
        if self._after_thought is not None:
            self._after_thought.append(text)
            return
        out = self._add(text)
        if out:
            self.call.send(out)
        if self._may_nest:
            self._may_nest = not text.strip()

    def close(self, *, trim: bool = False) -> None:
        """The value is whole; `trim`: without the blanks at its end."""
        if self._after_thought is not None:
            self.call.add("".join(self._after_thought))
        self.call.close(trim=trim)

    def closed_with(self, text: str) -> AfterValue:
        """`text` is the rest of the value, and its ``</arg_value>`` was read."""
        self.add(text)
        return AfterValue(Held(self, VALUE_END))

    def next_key(self) -> Key:
        """The value is whole, and another argument follows."""
        self.close()
        return Key(self.call)

    def next_value(self, key: str, repair: str | None = None) -> Value:
        """The value was not closed; `repair` is what else is missing before the value of `key`, which follows."""
        self.call.repaired("missing </arg_value>")
        self.close(trim=True)
        if repair:
            self.call.repaired(repair)
        return Value(self.call, key)

    def finish_call(self, leftover: list[Part] | None = None) -> Outcome:
        """The call ends, and the value was not closed."""
        if self._after_thought is None:
            self.call.repaired("missing </arg_value>")
            self.close(trim=True)
            return self.call.finish(leftover or ())
        if not self.call.begun:
            return Outcome("nothing", leftover or (), self._prose)
        return self.call.finish(leftover or (), self.call.break_off_value() + self._prose)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        prose = self._prose
        if self.call.begun and reason != "length":
            prose = self.call.break_off_value() + prose
        return self.call.end_broken(reason, prose)

    def nested(self, key: str) -> ArgumentValues | None:
        """How the values inside this one are read, if `key` is not another argument but a member of this object."""
        nested = self.call.values.nested(self._key) if self._may_nest and self._after_thought is None else None
        if nested is None or key in self.call.values.names or (nested.names and key not in nested.names):
            return None
        return nested

    @property
    def _prose(self) -> str:
        """The text after the end of a thought."""
        return "".join(part for part in self._after_thought or () if part != THINK_END)
