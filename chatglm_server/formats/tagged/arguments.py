"""The arguments of a tagged call: keys and values, and where a value ends.

    <arg_key>KEY</arg_key> <arg_value>VALUE</arg_value> …

Blanks, or the two characters backslash and n, between the tags mean nothing. Inside a value every tag is text, unless
what follows it shows otherwise: ``</arg_value>`` ends it only before another argument, the call's end, or the end of
the output. What may yet be one or the other is held back.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ..base import THINK_END, THINK_START
from ..tool_names import MAX_NAME, DeclaredTools
from .call_builder import CALL_END, CALL_START, CallBuilder, Part

KEY_START, KEY_END = "<arg_key>", "</arg_key>"
VALUE_START, VALUE_END = "<arg_value>", "</arg_value>"
MAX_HEAD = 2 * MAX_NAME
"""Characters that may stand where a name belongs, blanks included."""

_GAP = re.compile(r"(?:\s|\\n)*")
_GAP_BACKWARDS = re.compile(r"(?:\s|n\\)*")


class ArgumentReader(CallBuilder):
    """The states from a call's first key on. Each takes a part, text or a tag."""

    def __init__(self, tools: DeclaredTools, index: int) -> None:
        super().__init__(tools, index)
        self._state: Callable[[str, bool], None] = self._in_key
        self._key: list[str] = []
        self._hold: list[str] = []  # what may yet be part of the open value
        self._next = ""  # a name behind a tag that may begin the next call
        self._next_at = 0  # where in the raw text that tag begins
        self._value_open = False  # when it came
        self._backslash = False  # a gap may go on with an n
        self._hold_at = 0  # where in the raw text that begins
        self._thought_end = 0  # where in it, inside the open value, a thought ended; 0: none did

    def _start_key(self) -> None:
        self._key, self._state = [], self._in_key

    def _in_key(self, part: str, is_tag: bool) -> None:
        if not is_tag:
            self._key.append(part)
        elif part == KEY_START and not "".join(self._key).strip():
            self._repaired("doubled <arg_key>")
        elif not stripped("".join(self._key)):
            self._fail(part)
        elif part in (KEY_END, VALUE_END):
            if part == VALUE_END:
                self._repaired("</arg_value> in place of </arg_key>")
            self._state = self._after_key
        elif part == VALUE_START:
            self._repaired("missing </arg_key>")
            self._start_value()
        else:
            self._fail(part)

    def _after_key(self, part: str, is_tag: bool) -> None:
        if not is_tag:
            rest = self._beyond_gap(part)
            if rest:
                self._start_value("missing <arg_value>")
                self._in_value(rest, False)
        elif part == VALUE_END or self._backslash:
            text, self._backslash = "\\" * self._backslash, False
            self._start_value("missing <arg_value>")
            self._in_value(text, False)
            self._in_value(part, True)
        elif part == VALUE_START:
            self._start_value()
        elif part == KEY_END:
            self._repaired("doubled </arg_key>")
        else:
            self._fail(part)

    def _start_value(self, repair: str | None = None) -> None:
        if repair:
            self._repaired(repair)
        if not self._writer.open(stripped("".join(self._key))):
            self._repaired("repeated argument")
        self._thought_end = 0
        self._state = self._in_value

    def _in_value(self, part: str, is_tag: bool) -> None:
        if not is_tag or part in (VALUE_START, THINK_START, THINK_END):
            self._write(self._writer.add(part))
            if is_tag and part == THINK_END:
                self._thought_end = self._raw.tell()
            return
        self._hold, self._hold_at, self._key = [part], self._tag_at, []
        if part == CALL_START and self._thought_end:
            self._expect_next(value_open=True)
        elif part == VALUE_END:
            self._state = self._after_value
        elif part == CALL_END:
            self._state = self._in_value_after_end
        elif part == KEY_START:
            self._state = self._in_value_key
        else:
            self._release()

    def _after_value(self, part: str, is_tag: bool) -> None:
        """Behind ``</arg_value>``, which ends the value only before certain tags."""
        self._hold.append(part)
        if not is_tag:
            if self._beyond_gap(part):
                self._release()
        elif part == KEY_START and not self._backslash:
            self._close_value()
            self._start_key()
        elif part == CALL_END and not self._backslash:
            self._close_value()
            self._finish()
        elif part == CALL_START and not self._backslash:
            self._expect_next(value_open=False)
        else:
            self._reread(part)

    def _in_value_after_end(self, part: str, is_tag: bool) -> None:
        """In an open value, behind ``</tool_call>``: that ends the call if another one, or the end, comes next."""
        self._hold.append(part)
        if not is_tag:
            if part.strip():
                self._release()
        elif part == CALL_START:
            self._expect_next(value_open=True)
        elif part != CALL_END:
            self._reread(part)

    def _in_value_key(self, part: str, is_tag: bool) -> None:
        """In an open value, behind ``<arg_key>``: that begins the next argument if it is one that is well formed."""
        self._hold.append(part)
        if not is_tag:
            self._key.append(part)
            if sum(map(len, self._key)) > MAX_NAME or len(self._key) > MAX_NAME:
                self._release()
        elif part == KEY_END:
            self._state = self._in_value_after_key
        elif part == VALUE_START and self._may_be_key() and len("".join(self._key).split()) == 1:
            self._next_argument("missing </arg_key>")
        else:
            self._reread(part)

    def _in_value_after_key(self, part: str, is_tag: bool) -> None:
        self._hold.append(part)
        if not is_tag:
            rest = self._beyond_gap(part)
            if rest and stripped("".join(self._key)) in self._values.names:
                self._next_argument("missing <arg_value>")
                self._in_value(rest, False)
            elif rest:
                self._release()
        elif part == VALUE_START and not self._backslash and self._may_be_key():
            self._next_argument()
        else:
            self._reread(part)

    def _may_be_key(self) -> bool:
        key = stripped("".join(self._key))
        return bool(key) and (not self._values.names or key in self._values.names)

    def _next_argument(self, repair: str | None = None) -> None:
        self._repaired("missing </arg_value>")
        self._close_value(trim=True)
        self._start_value(repair)

    # ---- what may be the next call already ----

    def _expect_next(self, *, value_open: bool) -> None:
        self._next, self._next_at, self._value_open = "", self._tag_at, value_open
        self._state = self._in_next

    def _in_next(self, part: str, is_tag: bool) -> None:
        """Behind what may end this call, and ``<tool_call>``: it does if a known name and a fitting tag follow."""
        self._hold.append(part)
        if not is_tag:
            if not self._add_to_next(part):
                self._release()
            return None
        written = stripped(self._next)
        if part == CALL_START and not written:
            return None
        if part == KEY_END:
            begins = self._tools.split(written) is not None
        else:
            begins = part in (KEY_START, CALL_END) and bool(written and self._untagged_name(written))
        if not begins:
            return self._reread(part)
        self._leave_to_next([(self._next, False), (part, True)])
        if self._value_open:
            return self._finish_open_value()
        self._close_value()
        return self._finish_without_tag()

    def _add_to_next(self, part: str) -> bool:
        """Whether the text behind the tag can still be a name."""
        self._next += part if self._next else part.lstrip()
        return len(self._next) <= MAX_HEAD and len(self._next.split(None, 1)) < 2

    def _leave_to_next(self, parts: list[Part]) -> None:
        self._tag_at = self._next_at
        self.leftover = [(CALL_START, True), *(part for part in parts if part[0])]

    def _untagged_name(self, written: str) -> str | None:
        """Names before a body without tags, which may be prose, have to be declared, where that is known."""
        return self._tools.declared(written) if self._tools.known else self._tools.resolve(written)

    def _finish_open_value(self) -> None:
        """The call is closed and its last value is not. Where a thought ended in it, the model gave the call up."""
        if self._thought_end:
            self.prose = self._raw.getvalue()[self._thought_end : self._hold_at]
            self.outcome = "dropped"
            return
        self._repaired("missing </arg_value>")
        self._close_value(trim=True)
        self._finish()

    def _release(self) -> None:
        """What was held back is part of the value."""
        text = "".join(self._hold)
        self._hold, self._backslash, self._state = [], False, self._in_value
        self._write(self._writer.add(text))

    def _reread(self, tag: str) -> None:
        """The same, but for `tag`, which came last."""
        self._hold.pop()
        self._release()
        self._in_value(tag, True)

    def _beyond_gap(self, text: str) -> str:
        """What is left of `text` without the gap at its start. A backslash at the end may go on as a gap."""
        if self._backslash:
            text = "\\" + text
        rest = text[_length(_GAP, text) :]
        self._backslash = rest == "\\"
        return "" if self._backslash else rest


def stripped(text: str) -> str:
    """`text` without the gaps around it."""
    text = text[_length(_GAP, text) :]
    return text[: len(text) - _length(_GAP_BACKWARDS, text[::-1])]


def _length(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.match(text)
    return match.end() if match else 0
