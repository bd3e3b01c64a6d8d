"""One tool call between tags, as GLM-4.5 and later write it, read while it arrives.

    <tool_call>NAME ARGUMENTS </tool_call>

Tags that models are known to leave out or to write twice are put right, and so are calls that do without the tags of
arguments; it is noted in `repairs`.
"""

from __future__ import annotations

import re
from io import StringIO

from ...chat import FinishReason
from ...json_text import NotAnObject, dump_object
from ..inline.python_calls import read_json_call
from ..scanning.brackets import BracketScanner
from ..tool_names import DeclaredTools
from .arguments import KEY_END, KEY_START, MAX_HEAD, VALUE_END, VALUE_START, ArgumentReader, stripped
from .call_builder import CALL_END, CALL_START
from .untagged_bodies import BODY_HEAD, PAIRS_HEAD, read_named_object, read_pairs

CALL_TAGS = (CALL_START, CALL_END, KEY_START, KEY_END, VALUE_START, VALUE_END)

_NOT_A_NAME = re.compile(r"[\s{=>]")


class CallReader(ArgumentReader):
    """Reads one call, from behind its ``<tool_call>`` on."""

    def __init__(self, tools: DeclaredTools, index: int) -> None:
        super().__init__(tools, index)
        self._state = self._in_name
        self._head = ""  # what stands where the name belongs
        self._name = ""  # in its declared spelling
        self._stray = ""  # the tag behind it that belongs elsewhere

    def feed(self, part: str, is_tag: bool) -> None:
        """More text, or a tag. Mutates the reader."""
        if is_tag:
            self._tag_at = self._raw.tell()
        self._raw.write(part)
        self._state(part, is_tag)

    def end(self, held: str, reason: FinishReason) -> None:
        """The output ends, perhaps in the middle of a tag (`held`). Gives an outcome. Mutates the reader."""
        closes = len(held) > 1 and CALL_END.startswith(held)
        if closes and self._state in (self._in_name, self._after_name, self._after_value, self._after_body):
            self._raw.write(held)
        elif held:
            self.feed(held, False)
        if self.outcome:
            return
        if self._state == self._in_name:
            name = self._tools.declared(stripped(self._head))
            whole = reason != "length" or closes or self._head[-1:].isspace()
            self._end_without_tag(name if whole else None)
        elif self._state == self._after_name:
            self._end_without_tag(self._name)
        elif self._state == self._after_value and not self._backslash:
            self._close_value()
            self._finish_without_tag()
        elif self._state == self._in_value_after_end and reason != "length":
            self._finish_open_value()
        elif self._state == self._after_body:
            self._finish_body(closed=False)
        elif self._state == self._after_second_start:
            self._leave_to_next([(self._next, False)])
            self._end_without_tag(self._name)
        else:
            self._fail()

    # ---- the name ----

    def _in_name(self, part: str, is_tag: bool) -> None:
        if not is_tag:
            self._head += part if self._head else part.lstrip()
            return self._look_at_head()
        written = stripped(self._head)
        if part == KEY_START:
            if self._begin(self._tools.resolve(written), written):
                self._start_key()
        elif part == CALL_END and not written:
            self.outcome = "dropped"
        elif part == CALL_END:
            if self._begin(self._tools.resolve(written), written):
                self._finish()
        elif part == CALL_START and not written:
            self._repaired("doubled <tool_call>")
        elif part in (KEY_END, VALUE_END, CALL_START) and (name := self._tools.declared(written)):
            self._name = name
            self._stray = part
            self._expect_next(value_open=False)
            self._state = self._after_second_start if part == CALL_START else self._after_name
        elif part == KEY_END and (split := self._tools.split(written)):
            self._repaired("missing <arg_key>")
            self._begin(split[0], split[0])
            self._key, self._state = [split[1]], self._after_key
        else:
            self._fail(part)
        return None

    def _look_at_head(self) -> None:
        """Text that is no bare name: the call may do without tags, or be none."""
        head = self._head[:MAX_HEAD]
        if len(self._head) <= MAX_HEAD and not _NOT_A_NAME.search(head):
            return None
        if body := BODY_HEAD.match(head):
            name = body["name"] and self._untagged_name(stripped(body["name"]))
            if body["name"] and not name:
                return self._fail()
            self._name = name or ""
            self._body, self._scanner = StringIO(), BracketScanner()
            self._state = self._in_body
            return self._in_body(self._head[body.start("json") :], False)
        if (pairs := PAIRS_HEAD.match(head)) and (name := self._untagged_name(pairs["name"])):
            self._name = name
            self._key, self._state = [self._head[pairs.start("pairs") :]], self._in_pairs
            return None
        if len(head.split(None, 2)) > 2 or len(self._head) > MAX_HEAD or head.partition("{")[2].strip():
            self._fail()
        return None

    def _after_name(self, part: str, is_tag: bool) -> None:
        """Behind a declared name and a tag that closes something else."""
        if not is_tag:
            return None if not part.strip() else self._fail()
        split = self._tools.split(stripped(self._head))
        if part == VALUE_START and self._stray == KEY_END and split:
            self._repaired("missing <arg_key>")
            self._begin(split[0], split[0])
            self._key = [split[1]]
            return self._start_value()
        if part not in (KEY_START, CALL_END):
            return self._fail(part)
        self._repaired(f"{self._stray} after the name")
        self._begin(self._name, stripped(self._head))
        return self._start_key() if part == KEY_START else self._finish()

    def _after_second_start(self, part: str, is_tag: bool) -> None:
        """Behind a declared name and ``<tool_call>``: that stands for ``<arg_key>``, or it begins the next call."""
        if not is_tag:
            if self._add_to_next(part):
                return
            self._leave_to_next([(self._next, False)])
        elif part == KEY_END and stripped(self._next):
            self._repaired("<tool_call> in place of <arg_key>")
            self._begin(self._name, stripped(self._head))
            self._key, self._state = [self._next], self._after_key
            return
        else:
            self._leave_to_next([(self._next, False), (part, True)])
        self._end_without_tag(self._name)

    # ---- bodies without tags ----

    def _in_body(self, part: str, is_tag: bool) -> None:
        if is_tag and part in (CALL_START, CALL_END) and not self._scanner.in_string:
            return self._fail(part)
        end = self._scanner.feed(part)
        self._body.write(part[:end])
        if end is not None:
            self._state = self._after_body
            self._after_body(part[end:], False)
        return None

    def _after_body(self, part: str, is_tag: bool) -> None:
        if not is_tag and part.strip():
            self._fail()
        elif is_tag and part == CALL_END:
            self._finish_body(closed=True)
        elif is_tag:
            self._fail(part)

    def _finish_body(self, *, closed: bool) -> None:
        try:
            if self._name:
                name, arguments = self._name, read_json_call(self._body.getvalue())
            else:
                written, arguments = read_named_object(self._body.getvalue())
                name = self._tools.resolve(written) or ""
            text = dump_object(arguments)
        except NotAnObject:
            return self._fail()
        whole = closed or (self._tools.declared(name) == name and self._tools.values(name).are_satisfied(arguments))
        if not name or not whole:
            return self._fail()
        self._repaired("JSON in place of tags")
        if not closed:
            self._repaired("missing </tool_call>")
        self._begin(name, name)
        self._write(text)
        return self._conclude()

    def _in_pairs(self, part: str, is_tag: bool) -> None:
        if not is_tag:
            return self._key.append(part)
        try:
            pairs = read_pairs("".join(self._key)) if part == CALL_END else {}
        except NotAnObject:
            pairs = {}
        if not pairs:
            return self._fail(part)
        self._repaired("key=value in place of tags")
        self._begin(self._name, self._name)
        for name, text in pairs.items():
            self._writer.open(name)
            self._write(self._writer.add(text) + self._writer.close())
        return self._finish()

    def _end_without_tag(self, name: str | None) -> None:
        """The same for a call of `name` without any argument."""
        if name is None or not self._tools.values(name).are_satisfied({}):
            return self._fail()
        self._begin(name, stripped(self._head))
        return self._finish_without_tag()
