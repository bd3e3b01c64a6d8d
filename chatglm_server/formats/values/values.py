"""Argument values out of a model's text, typed by the tool's schema: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...json_text import NotAnObject, dump_json, join_surrogates, load_json
from .literals import LiteralReader
from .schema import ANYTHING, Alternatives, ArgumentSchema, Variant

_LITERAL_STARTS = ("[", "{", "(", "'", '"')
_LITERAL_WORDS = ("True", "False", "None")
_UNWRAPPINGS = 3


class ArgumentValues:
    """Reads the values of one tool's arguments. Without a schema (None) nothing is declared.

    A value whose schema allows strings only is the text as it stands. Any other is JSON if the schema allows what that
    gives, also where it is wrapped into a string or written as a Python literal; and if nothing fits, text. Numbers
    that JSON cannot spell (NaN, 1e999) are text.
    """

    def __init__(self, parameters: object) -> None:
        self._schema = ArgumentSchema(parameters)
        self._variants = self._schema.variants
        self.names = self._schema.names
        """The declared arguments; empty where nothing is known of them."""
        self.depend_on_each_other = len(self._variants) > 1
        """Whether an argument's type may depend on another's value, so that all have to be there first."""

    def is_text(self, name: str) -> bool:
        """Whether the argument is the text as it stands, and can be sent on while it arrives."""
        return not self.depend_on_each_other and _only_strings(self._alternatives(name, self._variants))

    def are_satisfied(self, names: Mapping[str, object]) -> bool:
        """Whether all required arguments are there."""
        return self._schema.satisfied(names)

    def json_text(self, name: str, text: str) -> str:
        """The argument's value as JSON text."""
        return _json_text(text, self._alternatives(name, self._variants))

    def json_texts(self, texts: Mapping[str, str]) -> dict[str, str]:
        """The values of all arguments, typed by the variants of the schema that they fit."""
        fitting = [variant for variant in self._variants if _fits(variant, texts)] or self._variants
        return {name: _json_text(text, self._alternatives(name, fitting)) for name, text in texts.items()}

    def _alternatives(self, name: str, variants: Sequence[Variant]) -> Alternatives:
        found = [one for variant in variants for one in variant.properties.get(name, ())]
        return tuple(found) or ANYTHING


def _only_strings(alternatives: Alternatives) -> bool:
    return all(
        one.types == {"string"} or (one.values is not None and all(isinstance(value, str) for value in one.values))
        for one in alternatives
    )


def _fits(variant: Variant, texts: Mapping[str, str]) -> bool:
    """Whether the arguments that tell variants apart (const, enum) have the values that this one asks for."""
    return all(
        any(one.allows(text) or any(map(one.allows, _readings(text))) for one in alternatives)
        for name, text in texts.items()
        if (alternatives := variant.properties.get(name)) and all(one.values is not None for one in alternatives)
    )


def _json_text(text: str, alternatives: Alternatives) -> str:
    if not _only_strings(alternatives):
        value = _undeclared(text) if alternatives == ANYTHING else _declared(text, alternatives)
        if not isinstance(value, str):
            try:
                return dump_json(value)
            except NotAnObject:  # nested deeper, or a number longer, than can be written back
                pass
        else:
            text = value
    return dump_json(join_surrogates(text))


def _declared(text: str, alternatives: Alternatives) -> Any:
    text_allowed = any(one.allows(text) for one in alternatives)
    for value in _readings(text):
        if any(one.allows(value) for one in alternatives):
            return value
    value = _literal(text)
    if value is not None or text.strip() == "None":
        quoted = isinstance(value, str)
        if not (quoted and text_allowed) and any(one.allows(value) for one in alternatives):
            return value
    return text


def _undeclared(text: str) -> Any:
    try:
        return load_json(text)
    except NotAnObject:
        pass
    for value in _readings(text):
        if isinstance(value, list | dict):
            return value
    value = _literal(text)
    return text if value is None and text.strip() != "None" else value


def _readings(text: str) -> Iterator[Any]:
    """What `text` is as JSON, then what the string in it is, and so on; or the same with its quotes escaped."""
    for _ in range(_UNWRAPPINGS):
        try:
            value = load_json(text)
        except NotAnObject:
            if "\\" not in text:
                return
            try:
                value = load_json(f'"{text}"')
            except NotAnObject:
                return
        else:
            yield value
        if not isinstance(value, str) or value == text:
            return
        text = value


def _literal(text: str) -> Any:
    """A Python literal of the kinds that models write; None if it is none (or is ``None`` itself)."""
    text = text.strip()
    if text in _LITERAL_WORDS:
        return {"True": True, "False": False, "None": None}[text]
    if not text.startswith(_LITERAL_STARTS):
        return None
    try:
        reader = LiteralReader(text)
        value = reader.value()
        reader.expect_end()
        return value
    except (NotAnObject, RecursionError):
        return None
