"""Lark grammars of clients' tools: what of them is read, and their patterns, compared with the package lark."""

from __future__ import annotations

import re
from itertools import product

import pytest
from lark import Lark
from lark.exceptions import LarkError

from chatglm_server.formats.values.lark_reader import LarkGrammar, portable_pattern
from chatglm_server.formats.values.text_grammar import TextGrammarError

GRAMMARS = [
    ('start: "a"+ ("b" | "c")? -> x\n', "abc"),
    ('start: word ("," word)*\nword: LETTER+ | "(" word2 ")"~2\nword2: LETTER?\nLETTER: "a".."b"', "abc,()"),
    ('// one\n?start: line\n  | line line // two\n\n!line: ["-"] "a"~1..2 NL\n%import common.LF -> NL', "a-\n"),
    ('start: /a|b/ "c"\n  | /[^\\/\\n]/ /\\//s\n  | /Z/i', "abc/zZ"),
    ('start: "A"i (":" | ".")+ B~1..2\n\nB: "b" "(" | ")"', "aA:.b()"),
    ("%import common (DIGIT, WS_INLINE)\nstart: DIGIT~2 (WS_INLINE DIGIT)*", "12 \t\n"),
    ('start: a b a\na: b?\nb: "[" "^"\n  | "\\\\" | "\\u00e9"', "[^\\é"),
]
"""With letters that their texts consist of."""
UNREAD = [
    ("start: <tool_call>", "line 1: '<tool_call>' is not read here"),
    ('start: "a"\nx: <[1-9]>', "line 2: '<[1-9]>' is"),
    ('start: %json {"type": "string"}', "'%json' is not read in a rule"),
    ('start: %regex {"substring_chars": "ab"}', "'%regex'"),
    ('start: %lark {\nstart: "a"\n}', "'%lark'"),
    ('%llguidance {"no_forcing": true}\nstart: "a"', "line 1: '%llguidance'"),
    ('start: "a"\n}\nother: %lark {\nstart: "b"', "line 2: '}'"),
    ('start: "a" }', "'}'"),
    ("start: @other", "'@other'"),
    ('start[max_tokens=3]: "a"', "'=3]:' is not read here"),
    ("start: x\nx[lazy]: /a*b/", "line 2: ':'"),
    ('start: x::0x0\nx::_: "a" %if is_ones([0:1])', "':' is not read in a rule"),
    ("start: A\nA: /a+/ & /aa/", "line 2: '&'"),
    ("start: A\nA: ~/a/", "a number belongs before '/a/'"),
    ('start: _list{A, ","}\nA: "a"', "a number belongs before 'A'"),
    ("start: A\n%import .mine.A", "%import is read from common alone"),
    ("start: A\n%import", "%import is read from common alone"),
    ('start: "a".."', "'\"'"),
    ('start: "a"..', "a string belongs to its end"),
    ('start: "a"~', "a number belongs to its end"),
    ('start: "a" ->', "a name belongs to its end"),
    ('start: "a"{1', "'}' belongs to its end"),
    ("start", "':' belongs to its end"),
    ("|", "'|' is not read here"),
]


@pytest.mark.parametrize(("grammar", "letters"), GRAMMARS)
def test_a_pattern_has_the_grammars_texts(grammar: str, letters: str) -> None:
    pattern = re.compile(LarkGrammar(grammar).pattern())
    lark = Lark(grammar, lexer="dynamic_complete")
    found = 0
    for length in range(1, 5 if len(letters) < 7 else 4):
        for text in map("".join, product(letters, repeat=length)):
            try:
                lark.parse(text)
                fits = True
            except LarkError:
                fits = False
            assert (pattern.fullmatch(text) is not None) == fits, text
            found += fits
    assert found > 2


@pytest.mark.parametrize(("grammar", "message"), UNREAD)
def test_what_is_not_read_is_named(grammar: str, message: str) -> None:
    with pytest.raises(TextGrammarError) as error:
        LarkGrammar(grammar)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ('start: "(" start? ")"', "'start' is recursive"),
        ('start: "a" "b"\n%ignore " "', "it has %ignore"),
        ("start: /a b # c/x", "verbose"),
        ("start: /(?ix)a b # c/", "verbose"),
        ("start: A", "'A' is not known"),
        ("start: NUMBER\n%import common.NUMBER", "'common.NUMBER' is not known"),
        ("\n".join(f"{'start' if not n else f'r{n}'}: r{n + 1} r{n + 1}" for n in range(50)) + '\nr50: "a"', "large"),
        ("\n".join(f"{'start' if not n else f'r{n}'}: r{n + 1}" for n in range(900)) + '\nr900: "a"', "too deep"),
    ],
    ids=lambda value: value[:20],
)
def test_some_grammars_have_no_pattern(grammar: str, message: str) -> None:
    with pytest.raises(TextGrammarError, match=message):
        LarkGrammar(grammar).pattern()


def test_classes_are_about_all_letters() -> None:
    """As in Rust's regular expressions; in the patterns of JSON schemas they are about ASCII."""
    assert portable_pattern(r"\d\D\\d[\s\p{L}]", "s") == r"(?s:\p{Nd}\P{Nd}\\d[\s\p{L}])"
