"""Reads argument values from a model's text, typed by the tool's schema. Nothing else decides their types."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from ...json_text import NotAnObject, dump_json, join_surrogates, load_json
from .literals import LiteralReader
from .schema import ANYTHING, Alternatives, ArgumentSchema, Variant

_LITERAL_STARTS = ("[", "{", "(", "'", '"')
_LITERAL_WORDS = ("True", "False", "None")
_UNWRAPPINGS = 3


class ArgumentValues:
    """Reads the values of one tool's arguments. With `parameters` None nothing is declared.

    A value whose schema allows strings only is the text as it stands. Any other is JSON if the schema allows the
    result, also if the JSON is wrapped into a string or written as a Python literal. If nothing fits, it is text.
    Numbers that JSON cannot spell (NaN, 1e999) are text.

    No text at all is an empty object if the schema allows nothing but an object. Where such an argument is optional
    it had better be left out: the model said nothing of it, and ``{}`` would replace the tool's own default.
    """

    def __init__(self, parameters: object) -> None:
        self._schema = parameters if isinstance(parameters, ArgumentSchema) else ArgumentSchema(parameters)
        self._variants = self._schema.variants
        self._nested: dict[str, ArgumentValues] = {}
        self.names = self._schema.names
        """The declared arguments; empty if nothing is known of them."""
        self.depend_on_each_other = len(self._variants) > 1
        """True if an argument's type may depend on another's value, so that all must be there first."""
        alternatives = {name: self._alternatives(name, self._variants) for name in self.names}
        self._objects = frozenset(name for name, given in alternatives.items() if _only_objects(given))
        self._texts: frozenset[str] = frozenset()
        if not self.depend_on_each_other:
            self._texts = frozenset(name for name, given in alternatives.items() if _only_strings(given))

    def is_text(self, name: str) -> bool:
        """True if the argument is the text as it stands, and can be sent while it arrives."""
        return name in self._texts

    def may_be_text(self, name: str) -> bool:
        """True if the argument's schema allows strings."""
        return any("string" in one.types for one in self._alternatives(name, self._variants))

    def is_object(self, name: str) -> bool:
        """True if the argument is an object, or null, and nothing else."""
        return name in self._objects

    def is_empty_object(self, name: str, text: str) -> bool:
        """True if the argument is an object for which the model wrote nothing."""
        return not text.strip() and self.is_object(name)

    def is_required(self, name: str) -> bool:
        """True if the argument is required, if only in one of several forms of the call."""
        return any(name in variant.required for variant in self._variants)

    def are_satisfied(self, names: Container[str]) -> bool:
        """True if all required arguments are among `names`."""
        return self._schema.satisfied(names)

    def nested(self, name: str) -> ArgumentValues | None:
        """Returns how the members of the argument `name` are read, or None if it is not an object."""
        if name not in self._nested and self.is_object(name):
            self._nested[name] = ArgumentValues(self._schema.object_of(name))
        return self._nested.get(name)

    def json_text(self, name: str, text: str) -> str:
        """Returns the argument's value as JSON text."""
        return _json_text(text, self._alternatives(name, self._variants))

    def json_texts(self, texts: Mapping[str, str]) -> dict[str, str]:
        """Returns the values of all arguments, typed by the variants of the schema that they fit."""
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


def _only_objects(alternatives: Alternatives) -> bool:
    types = frozenset[str]().union(*(one.types for one in alternatives))
    return "object" in types and types <= {"object", "null"}


def _fits(variant: Variant, texts: Mapping[str, str]) -> bool:
    """True if the arguments that tell variants apart (const, enum) have the values that `variant` asks for."""
    return all(
        any(one.allows(text) or any(map(one.allows, _readings(text))) for one in alternatives)
        for name, text in texts.items()
        if (alternatives := variant.properties.get(name)) and all(one.values is not None for one in alternatives)
    )


def _json_text(text: str, alternatives: Alternatives) -> str:
    if not text.strip() and _only_objects(alternatives):
        return "{}"
    if not _only_strings(alternatives):
        value = _undeclared(text) if alternatives == ANYTHING else _declared(text, alternatives)
        if not isinstance(value, str):
            try:
                return dump_json(value)
            except NotAnObject:  # too deep, or a number too long, to be written back
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
    """Yields `text` read as JSON, then the string in it read as JSON, and so on; quotes may be escaped."""
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
    """Returns the Python literal in `text`, of the kinds that models write; None for ``None`` and for other text."""
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


UNDECLARED = ArgumentValues(None)
"""The values of a tool that nobody declared."""
