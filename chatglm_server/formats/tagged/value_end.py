"""Decides where a value ends.

Inside a value every tag is text unless what follows shows otherwise: ``</arg_value>`` ends the value only before
another argument, the call's end, or the end of the output. What may be one or the other is held back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...chat import FinishReason
from ..tool_names import MAX_NAME, PossibleName
from .call import Outcome, Phase
from .nested import MemberValue, NestedObject
from .tags import CALL_END, CALL_START, KEY_END, KEY_START, VALUE_START, Gap, stripped

if TYPE_CHECKING:
    from .arguments import Value


class Held:
    """Parts in an open value, the first of them a tag, that may yet be text of it."""

    def __init__(self, value: Value, tag: str) -> None:
        self.value = value
        self.parts = [tag]

    def release(self) -> Value:
        """They are text of the value."""
        self.value.add("".join(self.parts))
        return self.value

    def reread(self, tag: str) -> Phase | Outcome:
        """They are text of the value, and `tag` follows."""
        return self.release().feed(tag, True)


class AfterValue:
    """Follows ``</arg_value>``."""

    ends_call: ClassVar[bool] = True

    def __init__(self, held: Held) -> None:
        self._held, self._gap = held, Gap()

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        held, value = self._held, self._held.value
        if not is_tag:
            held.parts.append(part)
            return held.release() if self._gap.skip(part) else self
        if self._gap.backslash:
            return held.reread(part)
        if part == KEY_START:
            return value.next_key()
        if part == CALL_END:
            value.close()
            return value.call.finish()
        if part == CALL_START:
            held.parts.append(part)
            return NextCall(held, value_open=False)
        return held.reread(part)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        if self._gap.backslash:
            return self._held.release().end(reason, closing)
        self._held.value.close()
        return self._held.value.call.finish_unclosed()


class AfterCallEnd:
    """Follows ``</tool_call>`` in an open value: that ends the call if another one, or the end, comes next."""

    ends_call: ClassVar[bool] = False

    def __init__(self, held: Held) -> None:
        self._held = held

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        held = self._held
        if is_tag and part not in (CALL_START, CALL_END):
            return held.reread(part)
        held.parts.append(part)
        if part == CALL_START and is_tag:
            return NextCall(held, value_open=True)
        return self if is_tag or not part.strip() else held.release()

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        value = self._held.value
        return value.end(reason, closing) if reason == "length" else value.finish_call()


class KeyInValue:
    """Follows ``<arg_key>`` in an open value: if well formed, it begins another argument or a member of this one."""

    ends_call: ClassVar[bool] = False

    def __init__(self, held: Held) -> None:
        self._held = held
        self._text: list[str] = []

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        held = self._held
        if not is_tag:
            held.parts.append(part)
            self._text.append(part)
            too_long = sum(map(len, self._text)) > MAX_NAME or len(self._text) > MAX_NAME
            return held.release() if too_long else self
        key = stripped("".join(self._text))
        if part == KEY_END:
            held.parts.append(part)
            return AfterKeyInValue(held, key)
        if part == VALUE_START and _may_be_key(held.value, key) and len("".join(self._text).split()) == 1:
            return held.value.next_value(key, "missing </arg_key>")
        return held.reread(part)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._held.value.end(reason, closing)


class AfterKeyInValue:
    """Follows a key and ``</arg_key>`` in an open value."""

    ends_call: ClassVar[bool] = False

    def __init__(self, held: Held, key: str) -> None:
        self._held, self._key, self._gap = held, key, Gap()

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        held, value, key = self._held, self._held.value, self._key
        if not is_tag:
            held.parts.append(part)
            rest = self._gap.skip(part)
            if rest and key in value.call.values.names:
                return value.next_value(key, "missing <arg_value>").feed(rest, False)
            return held.release() if rest else self
        if part == VALUE_START and not self._gap.backslash:
            nested = value.nested(key)
            if nested is not None:
                held.parts.append(part)
                return MemberValue(NestedObject(held, nested), key)
            if _may_be_key(value, key):
                return value.next_value(key)
        return held.reread(part)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._held.value.end(reason, closing)


class NextCall:
    """Follows what may end this call, and ``<tool_call>``: that ends it if a known name and a fitting tag follow."""

    ends_call: ClassVar[bool] = False

    def __init__(self, held: Held, *, value_open: bool) -> None:
        self._held, self._value_open = held, value_open
        self._name = PossibleName()
        self._at = held.value.call.tag_at

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        held, tools = self._held, self._held.value.call.tools
        if not is_tag:
            held.parts.append(part)
            return self if self._name.add(part) else held.release()
        written = stripped(self._name.text)
        if part == CALL_START and not written:
            held.parts.append(part)
            return self
        if part == KEY_END:
            begins = tools.split(written) is not None
        else:
            begins = part in (KEY_START, CALL_END) and tools.before_body(written) is not None
        return self._finish(part) if begins else held.reread(part)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        call = self._held.value.call
        return self._finish("") if call.begun and reason != "length" else call.not_a_call()

    def _finish(self, tag: str) -> Outcome:
        value = self._held.value
        leftover = value.call.leave(self._at, [(CALL_START, True), (self._name.text, False), (tag, True)])
        if self._value_open:
            return value.finish_call(leftover)
        value.close()
        return value.call.finish_unclosed(leftover)


def _may_be_key(value: Value, key: str) -> bool:
    names = value.call.values.names
    return bool(key) and (not names or key in names)
