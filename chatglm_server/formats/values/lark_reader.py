"""Reads the Lark grammars of clients' tools, and writes one without recursion as a regular expression.

Of Lark this is what OpenAI documents: rules and terminals, strings, regular expressions, groups, repetitions, %ignore,
and %import of common terminals. Of llguidance's further notation nothing is read: a special token in a text would end
the call, and the attributes of rules keep drafts from being taken back.
"""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .text_grammar import TextGrammarError

_TOKEN = re.compile(
    r"""
      (?P<blank>[ \t]+|(?:\#|//)[^\n]*)
    | (?P<line>\r?\n)
    | (?P<string>"(?:\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|[^"\\\x00-\x1f\x7f])*")(?P<any_case>i?)
    | /(?P<regex>(?:\\.|[^/\\])+)/(?P<flags>[imslux]*)
    | (?P<name>!?[_?]?[a-z][_a-z0-9-]*|_?[A-Z][_A-Z0-9-]*)
    | (?P<directive>%[a-z]+)
    | (?P<number>\d+)
    | (?P<mark>->|\.\.|[:|()\[\]{},.~+*?])
    """,
    re.VERBOSE | re.ASCII,
)
_SPECIAL = re.compile(r"[\\.+*?()|\[\]{}^$#&~/-]")
_VERBOSE = re.compile(r"\(\?[a-zA-Z]*x")  # blanks and comments in it mean nothing
_MARKS = {"(": "(?:", ")": ")", "[": "(?:", "]": ")?", "|": "|", "+": "+", "*": "*", "?": "?"}
_COMMON = {
    "CR": r"\r",
    "LF": r"\n",
    "NEWLINE": r"(?:\r?\n)+",
    "WS": r"[ \t\f\r\n]+",
    "WS_INLINE": r"[ \t]+",
    "DIGIT": "[0-9]",
    "INT": "[0-9]+",
    "LETTER": "[a-zA-Z]",
    "LCASE_LETTER": "[a-z]",
    "UCASE_LETTER": "[A-Z]",
    "WORD": "[a-zA-Z]+",
    "CNAME": "[_a-zA-Z][_a-zA-Z0-9]*",
}
_CLASSES = {
    "d": r"\p{Nd}",
    "D": r"\P{Nd}",
    "w": r"[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]",
    "W": r"[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]",
}
"""In the patterns of JSON schemas these are about ASCII."""
_MOST_DEPTH = 60  # of rules in rules
_MOST_CHARACTERS = 32_000  # of a pattern

Token = re.Match[str]


@dataclass(frozen=True, slots=True)
class _Name:
    """The place of another rule or terminal in a pattern."""

    text: str


@dataclass(frozen=True, slots=True)
class _Regex:
    """The place of a regular expression in a pattern."""

    text: str
    flags: str


class LarkGrammar:
    """A grammar that was read: the pieces of a pattern for each rule and terminal."""

    def __init__(self, text: str) -> None:
        """Raises: TextGrammarError for what is not read here. Other faults are the compiler's to find."""
        self._rules: dict[str, list[str | _Name | _Regex]] = {}
        self._ignores = False
        for line, statement in _statements(text):
            try:
                self._read(deque(statement))
            except TextGrammarError as error:
                raise TextGrammarError(f"line {line}: {error}") from None

    def pattern(self) -> str:
        """A pattern of a JSON schema, without its anchors, for the same texts.

        Raises: TextGrammarError if there is none, or none that is small enough.
        """
        if self._ignores:
            raise TextGrammarError("it has %ignore")
        return self._expanded("start", (), {})

    def _read(self, tokens: deque[Token]) -> None:
        """Mutates the grammar."""
        head = tokens.popleft()
        if head["name"]:
            _expect(tokens, ":")
            self._rules[head["name"].lstrip("!?")] = list(_pieces(tokens))
        elif head["directive"] == "%import":
            library, *names = [token["name"] for token in tokens if token["name"]] or [""]
            if library != "common":
                raise TextGrammarError("%import is read from common alone")
            for name in names:
                self._rules[name] = [_COMMON[name] if name in _COMMON else _Name(f"common.{name}")]
            if any(token["mark"] == "->" for token in tokens):
                self._rules[names[-1]] = self._rules[names[0]]
        elif head["directive"] == "%ignore":
            self._ignores = bool(list(_pieces(tokens)))
        else:
            raise TextGrammarError(f"{head[0][:32]!r} is not read here")

    def _expanded(self, name: str, outer: tuple[str, ...], known: dict[str, str]) -> str:
        if name in outer:
            raise TextGrammarError(f"{name[:64]!r} is recursive")
        if name not in self._rules or len(outer) > _MOST_DEPTH:
            raise TextGrammarError(f"{name[:64]!r} is not known here, or too deep in others")
        if name not in known:
            pattern, inner = "", (*outer, name)
            for piece in self._rules[name]:
                if isinstance(piece, _Regex):
                    pattern += portable_pattern(piece.text, piece.flags)
                else:
                    pattern += self._expanded(piece.text, inner, known) if isinstance(piece, _Name) else piece
                if len(pattern) > _MOST_CHARACTERS:
                    raise TextGrammarError("it is too large")
            known[name] = f"(?:{pattern})"
        return known[name]


def portable_pattern(pattern: str, flags: str = "") -> str:
    """A Rust regular expression as one of a JSON schema. Raises: TextGrammarError if it is a verbose one."""
    if "x" in flags or _VERBOSE.search(pattern):
        raise TextGrammarError("it has a verbose regular expression")
    return f"(?{flags}:" + re.sub(r"\\(.)", lambda match: _CLASSES.get(match[1], match[0]), pattern) + ")"


def _statements(text: str) -> Iterator[tuple[int, list[Token]]]:
    """Yields rules and directives, each with the number of its first line. A line that begins with ``|`` goes on."""
    statement: list[Token] = []
    at, line, first, line_ended = 0, 1, 1, False
    while at < len(text):
        token = _TOKEN.match(text, at)
        if token is None:
            raise TextGrammarError(f"line {line}: {text[at : at + 32].split()[0]!r} is not read here")
        at = token.end()
        if token["line"]:
            line_ended = True
        elif not token["blank"]:
            if line_ended and token["mark"] != "|" and statement:
                yield first, statement
                statement = []
            first = first if statement else line
            statement.append(token)
            line_ended = False
        line += token[0].count("\n")
    if statement:
        yield first, statement


def _pieces(tokens: deque[Token]) -> Iterator[str | _Name | _Regex]:
    """Yields the pattern of a rule's body. Mutates the tokens. Raises: TextGrammarError."""
    while tokens:
        token = tokens.popleft()
        if token["string"]:
            yield _range(token, tokens) if _comes(tokens, "..") else _literal(token)
        elif token["regex"]:
            yield _Regex(token["regex"], token["flags"])
        elif token["name"]:
            yield _Name(token["name"])
        elif token["mark"] == "->":
            _take(tokens, "name")
        elif token["mark"] == "~":
            least = _take(tokens, "number")
            yield f"{{{least},{_take(tokens, 'number') if _comes(tokens, '..') else least}}}"
        elif token["mark"] == "{":
            yield _repetition(tokens)
        elif token["mark"] in _MARKS:
            yield _MARKS[token["mark"]]
        else:
            raise TextGrammarError(f"{token[0][:32]!r} is not read in a rule")


def _repetition(tokens: deque[Token]) -> str:
    """``{m}``, ``{m,}``, ``{,n}`` or ``{m,n}``."""
    least = "0" if tokens and tokens[0]["mark"] == "," else _take(tokens, "number")
    most = f",{least}"
    if _comes(tokens, ","):
        most = "," if tokens and tokens[0]["mark"] == "}" else f",{_take(tokens, 'number')}"
    _expect(tokens, "}")
    return f"{{{least}{most}}}"


def _range(first: Token, tokens: deque[Token]) -> str:
    last = json.loads(_take(tokens, "string"))
    return f"[{_escaped(json.loads(first['string']))}-{_escaped(last)}]"


def _literal(token: Token) -> str:
    return f"(?{token['any_case']}:{_escaped(json.loads(token['string']))})"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\g<0>", text)


def _comes(tokens: deque[Token], mark: str) -> bool:
    """Takes `mark` if it comes next. Returns whether it did. Mutates the tokens."""
    return bool(tokens) and tokens[0]["mark"] == mark and bool(tokens.popleft())


def _take(tokens: deque[Token], kind: str) -> str:
    """Mutates the tokens. Raises: TextGrammarError if the next is not of that kind."""
    if not tokens or not tokens[0][kind]:
        raise TextGrammarError(f"a {kind} belongs {f'before {tokens[0][0][:32]!r}' if tokens else 'to its end'}")
    return str(tokens.popleft()[kind])


def _expect(tokens: deque[Token], mark: str) -> None:
    if not _comes(tokens, mark):
        raise TextGrammarError(f"{mark!r} belongs {f'before {tokens[0][0][:32]!r}' if tokens else 'to its end'}")
