"""An object that the model wrote as keys and values between the tags of its own value.

    <arg_value> <arg_key>KEY</arg_key> <arg_value>VALUE</arg_value> … </arg_value>

GLM-5.2 writes objects so behind some gateways. Only an argument that is declared an object is read like this, and
only if all of it is well formed. Otherwise the tags are text of the value, as everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...chat import FinishReason
from ..values.values import ArgumentValues
from ..values.writer import ArgumentWriter
from .call import Outcome, Phase
from .tags import CALL_END, KEY_END, KEY_START, VALUE_END, VALUE_START, stripped

if TYPE_CHECKING:
    from .value_end import Held

_MAX_DEPTH = 16


class NestedObject:
    """The object as far as it was read. `parent` is the object that it is a member of."""

    def __init__(self, held: Held, values: ArgumentValues, parent: NestedObject | None = None) -> None:
        self.held, self.values, self.parent = held, values, parent
        self.depth: int = parent.depth + 1 if parent else 1
        self.writer = ArgumentWriter(values)
        self._text: list[str] = []

    def add(self, text: str) -> None:
        """More of the open member."""
        self._text.append(self.writer.add(text))

    def close(self) -> None:
        """The open member is whole."""
        self._text.append(self.writer.close())

    def end(self) -> Phase:
        """The object is whole. Returns the phase after its ``</arg_value>``."""
        text = "".join([*self._text, self.writer.end()])
        if self.parent is not None:
            self.parent.add(text)
            self.parent.close()
            return AfterMember(self.parent)
        self.held.value.call.repaired("tags in place of an object")
        return self.held.value.closed_with(text)


class MemberKey:
    """The text after ``<arg_key>``."""

    ends_call: ClassVar[bool] = False

    def __init__(self, nested: NestedObject) -> None:
        self._nested = nested
        self._text: list[str] = []

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        nested = self._nested
        key = stripped("".join(self._text)) if is_tag else ""
        if is_tag and (part != KEY_END or not key or (nested.values.names and key not in nested.values.names)):
            return nested.held.reread(part)
        nested.held.parts.append(part)
        if is_tag:
            return AfterMemberKey(nested, key)
        self._text.append(part)
        return self

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._nested.held.value.end(reason, closing)


class AfterMemberKey:
    """The gap between ``</arg_key>`` and ``<arg_value>``."""

    ends_call: ClassVar[bool] = False

    def __init__(self, nested: NestedObject, key: str) -> None:
        self._nested, self._key = nested, key

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        held = self._nested.held
        if is_tag and part != VALUE_START:
            return held.reread(part)
        held.parts.append(part)
        if is_tag:
            return MemberValue(self._nested, self._key)
        return held.release() if stripped(part) else self

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._nested.held.value.end(reason, closing)


class MemberValue:
    """The text of a member. Only blanks may stand before the members of a further object."""

    ends_call: ClassVar[bool] = False

    def __init__(self, nested: NestedObject, key: str) -> None:
        self._nested, self._key = nested, key
        self._blank = True
        nested.writer.open(key)

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        nested = self._nested
        inner = nested.values.nested(self._key) if self._blank and part == KEY_START and is_tag else None
        if is_tag and part != VALUE_END and (inner is None or nested.depth == _MAX_DEPTH):
            return nested.held.reread(part)
        nested.held.parts.append(part)
        if inner is not None:
            return MemberKey(NestedObject(nested.held, inner, nested))
        if is_tag:
            nested.close()
            return AfterMember(nested)
        nested.add(part)
        self._blank = self._blank and not part.strip()
        return self

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._nested.held.value.end(reason, closing)


class AfterMember:
    """Follows a member's ``</arg_value>``."""

    ends_call: ClassVar[bool] = False

    def __init__(self, nested: NestedObject) -> None:
        self._nested = nested

    def feed(self, part: str, is_tag: bool) -> Phase | Outcome:
        nested, held = self._nested, self._nested.held
        if is_tag and part not in (KEY_START, VALUE_END):
            return self._end_unclosed() if part == CALL_END else held.reread(part)
        held.parts.append(part)
        if is_tag:
            return MemberKey(nested) if part == KEY_START else nested.end()
        return held.release() if stripped(part) else self

    def _end_unclosed(self) -> Phase | Outcome:
        """The call ends before the object."""
        nested = self._nested
        nested.held.value.call.repaired("missing </arg_value>")
        while nested.parent is not None:
            nested.end()
            nested = nested.parent
        return nested.end().feed(CALL_END, True)

    def end(self, reason: FinishReason, closing: bool) -> Outcome:
        return self._nested.held.value.end(reason, closing)
