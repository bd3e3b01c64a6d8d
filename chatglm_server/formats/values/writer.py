"""A call's arguments as JSON text, in fragments, while they arrive."""

from __future__ import annotations

from io import StringIO
from json.encoder import encode_basestring

from ...json_text import dump_json, join_surrogates
from ..content import TrailingBlanks
from .argument_values import ArgumentValues


class ArgumentWriter:
    """Writes one JSON object. Each method returns what can go out now; joined, that is the object.

    An argument that is text goes out in pieces, any other once it is closed. If the arguments depend on each other,
    all go out at the end. The first value of a repeated argument counts: a stream cannot take back what it sent.
    """

    def __init__(self, values: ArgumentValues) -> None:
        self._values = values
        self._lead = "{"  # goes out before the next argument; "" while an argument goes out in pieces
        self._text = StringIO()  # of the open argument, unless it goes out in pieces
        self._blanks = TrailingBlanks()
        self._half = ""  # of a surrogate pair
        self._repeated = False
        self._name = ""
        self.streams = False
        """True if the open argument goes out in pieces."""
        self.was_empty_object = False
        """True if the argument that was closed last is an object for which the model wrote nothing."""
        self.given: dict[str, str] = {}
        """The arguments so far; their texts only if they are needed at the end."""

    def open(self, name: str) -> bool:
        """An argument begins. Returns whether it is the first of its name. Mutates the writer."""
        self._name = join_surrogates(name)
        self._repeated = self._name in self.given
        self.streams = not self._repeated and self._values.is_text(self._name)
        if not self._repeated:
            self.given[self._name] = ""
        return not self._repeated

    def add(self, text: str) -> str:
        """More of the open argument. Mutates the writer."""
        if self.streams:
            text = self._blanks.add(text)
            return self._escaped(text) if text else ""
        if not self._repeated:
            self._text.write(text)
        return ""

    def close(self, *, trim: bool = False) -> str:
        """The open argument is whole; `trim`: without the blanks at its end. Mutates the writer."""
        self.was_empty_object = False
        if self._repeated:
            return ""
        if self.streams:
            blanks = self._blanks.take()
            out = self._escaped("" if trim else blanks, last=True)
            self._lead = '", '
            return out
        text = self._text.getvalue()
        self._text = StringIO()
        text = text.rstrip() if trim else text
        self.was_empty_object = self._values.is_empty_object(self._name, text)
        if self.was_empty_object and not self._values.is_required(self._name):
            del self.given[self._name]
            return ""
        if self._values.depend_on_each_other:
            self.given[self._name] = text
            return ""
        return self._member(self._name, self._values.json_text(self._name, text))

    @property
    def unsent(self) -> str:
        """The text of the open argument, if it goes out once it is closed."""
        return self._text.getvalue()

    def break_off(self) -> str:
        """The open argument stays incomplete: it ends where it went out in part, and else is left out. Mutates."""
        if not self._lead:
            return self.close(trim=True)
        self._blanks.take()
        self._text = StringIO()
        if not self._repeated:
            del self.given[self._name]
        return ""

    def end(self) -> str:
        """The arguments are complete. Mutates the writer."""
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
        """Returns `text` inside the quotes of a JSON string, the first time with what comes before it."""
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
