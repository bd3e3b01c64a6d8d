"""A call's arguments as JSON text, in fragments, while they arrive."""

from __future__ import annotations

from io import StringIO
from json.encoder import encode_basestring

from ...json_text import dump_json, join_surrogates
from ..content import TrailingBlanks
from .values import ArgumentValues


class ArgumentWriter:
    """Writes one JSON object. Each method returns what can go out now; joined, that is the object.

    An argument that is text goes out in pieces; others once they are closed; all at the end where they depend on each
    other. Of a repeated argument the first value counts: what went out cannot be taken back.
    """

    def __init__(self, values: ArgumentValues) -> None:
        self._values = values
        self._lead = "{"  # what has to stand before the next argument
        self._text = StringIO()  # of the open argument, unless it goes out in pieces
        self._blanks = TrailingBlanks()
        self._half = ""  # of a surrogate pair
        self._streams = False
        self._repeated = False
        self._name = ""
        self.given: dict[str, str] = {}
        """The arguments so far; their texts only where they are needed at the end."""

    def open(self, name: str) -> bool:
        """An argument begins. Whether it is the first of its name. Mutates."""
        self._name = join_surrogates(name)
        self._repeated = self._name in self.given
        if not self._repeated:
            self.given[self._name] = ""
            self._streams = self._values.is_text(self._name)
        return not self._repeated

    def add(self, text: str) -> str:
        """More of the open argument. Mutates."""
        if self._repeated:
            return ""
        if not self._streams:
            self._text.write(text)
            return ""
        text = self._blanks.add(text)
        return self._escaped(text) if text else ""

    def close(self, *, trim: bool = False) -> str:
        """The open argument is whole; `trim`: without the blanks at its end. Mutates."""
        if self._repeated:
            return ""
        if self._streams:
            blanks = self._blanks.take()
            out = self._escaped("" if trim else blanks, last=True)
            self._lead = '", '
            return out
        text = self._text.getvalue()
        self._text = StringIO()
        text = text.rstrip() if trim else text
        if self._values.depend_on_each_other:
            self.given[self._name] = text
            return ""
        return self._member(self._name, self._values.json_text(self._name, text))

    def end(self) -> str:
        """There are no more arguments. Mutates."""
        out = ""
        if self._values.depend_on_each_other:
            out = "".join(self._member(name, value) for name, value in self._values.json_texts(self.given).items())
        if self._lead == "{":
            return out + "{}"
        return out + ('"}' if self._lead.startswith('"') else "}")

    def _member(self, name: str, value: str) -> str:
        lead, self._lead = self._lead, ", "
        return f"{lead}{dump_json(name)}: {value}"

    def _escaped(self, text: str, *, last: bool = False) -> str:
        """`text` inside the quotes of a JSON string, whose opening comes first."""
        if not text.isascii() or self._half:
            text, self._half = self._half + text, ""
            if not last and "\ud800" <= text[-1:] <= "\udbff":
                text, self._half = text[:-1], text[-1]
            text = join_surrogates(text)
        out = encode_basestring(text)[1:-1]
        if self._lead:
            out = f'{self._lead}{dump_json(self._name)}: "{out}'
            self._lead = ""
        return out
