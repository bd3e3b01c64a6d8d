"""What clients' grammars and regular expressions ask of a text, in llguidance's dialect of Lark."""

from __future__ import annotations

_MOST_CHARACTERS = 64_000  # of a client's grammar, regular expression or list
_MOST_RULES = 1000  # the compiler goes into rules of rules by recursion, and its stack holds some 2,000
_MOST_INTERSECTIONS = 8  # each further one doubles the time to compile


NOTHING_FORCED = '%llguidance {"no_forcing": true} '
"""What begins a client's grammar, on its first line. llguidance never returns from looking for the text that it forces
where only one letter is allowed, for ever: in ``/a+/ /a+/``, for a terminal takes as much as it can."""


class TextGrammarError(ValueError):
    """No text can be held to it; the message is one line."""


def regex_grammar(pattern: str) -> str:
    """The grammar of the texts that match `pattern` as a whole. Raises: TextGrammarError."""
    check_length(len(pattern))
    return f"start: /{_slashes_escaped(pattern)}/\n"


def check_grammar(grammar: str) -> None:
    """Raises: TextGrammarError for what it would take too long to compile."""
    check_length(len(grammar))
    if grammar.count(":") > _MOST_RULES:
        raise TextGrammarError(f"the grammar has more than {_MOST_RULES} rules")
    if grammar.count("&") > _MOST_INTERSECTIONS:
        raise TextGrammarError(f"the grammar has more than {_MOST_INTERSECTIONS} intersections (&)")


def check_length(characters: int) -> None:
    """Raises: TextGrammarError."""
    if characters > _MOST_CHARACTERS:
        raise TextGrammarError(f"{characters} characters, and at most {_MOST_CHARACTERS} are read")


def _slashes_escaped(pattern: str) -> str:
    r"""`pattern` between slashes: a slash that is not escaped gets a backslash."""
    escaped, result = False, ""
    for char in pattern:
        result += "\\/" if char == "/" and not escaped else "\\n" if char == "\n" else char
        escaped = char == "\\" and not escaped
    return result
