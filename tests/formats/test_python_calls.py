"""Arguments are read from literals alone, and nothing a model writes is run."""

from __future__ import annotations

import ast
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatglm_server.formats.inline.python_calls import read_interpreter_call, read_json_call, read_python_call
from chatglm_server.formats.values.literals import MAX_DEPTH, LiteralReader
from chatglm_server.json_text import NotAnObject


def read(text: str) -> Any:
    reader = LiteralReader(text)
    value = reader.value()
    reader.expect_end()
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("'a' \"b\"\n'''c'''", "abc"),
        ("u'a'", "a"),
        (r"R'\n'", r"\n"),
        (r"'\n\t\\\'\"\0\101\x41\u4e00\U0001f30a\N{BULLET}'", "\n\t\\'\"\0AA一🌊•"),
        (r"'\q\8\xZ\u12\777'", r"\q\8\xZ\u12" + "\u01ff"),
        ("'a\\\nb'", "ab"),
        ("'a\nb\0'", "a\nb\0"),
        ("0x_1F", 31),
        ("0b11", 3),
        ("1_000.5e-1", 100.05),
        (".5", 0.5),
        ("5.", 5.0),
        ("- 1", -1),
        ("+1", 1),
        ("()", []),
        ("(1)", 1),
        ("(1,)", [1]),
        ("[1, (2, 3), ]", [1, [2, 3]]),
        ("{1: 'a', None: 'b', True: 'c', 'k': {}, 'k': 1,}", {"1": "a", "null": "b", "true": "c", "k": {}}),
        (" # note\n1 # end", 1),
        ("[" * MAX_DEPTH + "]" * MAX_DEPTH, ...),
    ],
)
def test_literals(text: str, value: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = read(text)
    assert value is ... or (result, type(result)) == (value, type(value))


NO_VALUES = ("", "...", "[,]", "(,)", "[1", "{1: }", "[1 2]", "1 2", "'a", "'''a''", r"'\U00ffffff'", r"'\N{NO SUCH}'")
OTHER_VALUES = ("1j", "1e999", "b'a'", "f'a'", "{1}", "{[1]: 2}", "007", "1__0", "1.2.3", "1a", "１", "9" * 10_000)
EXPRESSIONS = ("a", "a.b", "f()", "1 + 1", "1 if x else 2", "--1", "-True", "-'a'", "not 1", "lambda: 1", "(x := 1)")
MORE_EXPRESSIONS = ("{**a}", "[*a]", "True.real", "'a'[0]", "'a' % 1", "[n for n in []]", "`1`")
TOO_DEEP = ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1),)


@pytest.mark.parametrize("text", NO_VALUES + OTHER_VALUES + EXPRESSIONS + MORE_EXPRESSIONS + TOO_DEEP)
def test_all_else_is_no_literal(text: str) -> None:
    with pytest.raises(NotAnObject):
        read(text)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(values)
def test_what_python_writes_is_read_back(value: Any) -> None:
    assert read(repr(value)) == value


@settings(max_examples=300, deadline=None)
@given(st.text("'\"\\nxu0a7N{}[](),:.-+eE_ \t\n#", max_size=24))
def test_what_is_read_agrees_with_python(text: str) -> None:
    """Python may refuse more (line breaks in plain strings), and knows more; a value that both read is one."""
    try:
        ours = read(text)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = ast.literal_eval(text.strip())
    except (NotAnObject, SyntaxError, ValueError, TypeError):
        return
    if isinstance(theirs, str | int | float):
        assert ours == theirs


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("tool_call()", {}),
        ("```python\ntool_call( )", {}),
        ("any_name(a=1, b='x',)", {"a": 1, "b": "x"}),
        ("tool_call(class='c', max-items=2, 名='海', \"d e\"=0)", {"class": "c", "max-items": 2, "名": "海", "d e": 0}),
        ("tool_call(a=1, a=2)", {"a": 1}),
        ("tool_call({'a': 1})", {"a": 1}),
        ("{'a': 1}", {"a": 1}),
    ],
)
def test_calls(text: str, arguments: dict[str, Any]) -> None:
    assert read_python_call(text) == arguments


NO_CALLS = (
    *(
        "",
        "tool_call",
        "tool_call(",
        "tool_call(,)",
        "tool_call(a)",
        "tool_call(a=)",
        "tool_call(a==1)",
        "tool_call(=1)",
    ),
    *("tool_call(1)", "tool_call([1])", "tool_call(*[1])", "tool_call(**{'a': 1})", "tool_call({'a': 1}, b=2)"),
    *("tool_call(a=1 b=2)", "tool_call(a=1)(b=2)", "tool_call(a=1) + f()", "tool_call(a=tool_call())"),
)


@pytest.mark.parametrize("text", NO_CALLS)
def test_all_else_is_no_call(text: str) -> None:
    with pytest.raises(NotAnObject):
        read_python_call(text)


def test_a_json_call_is_an_object() -> None:
    assert read_json_call('```json\n{"a": true}') == {"a": True}
    assert read_json_call("{'a': True, 'b': \"it's\"}") == {"a": True, "b": "it's"}
    for text in ("[1]", "(1)", "{'a'}", "{'a': 1} {'b': 2}", '{"a": Infinity}'):
        with pytest.raises(NotAnObject):
            read_json_call(text)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("```python\nprint(1)\n```", {"code": "print(1)"}),
        ("```\n  indented\n", {"code": "  indented"}),
        ("x = 1", {"code": "x = 1"}),
        ("```python\ntool_call(code='x = 1', timeout=3)\n```", {"code": "x = 1", "timeout": 3}),
        ("```python\ntool_call(other='x')\n```", {"code": "tool_call(other='x')"}),
        ('```json\n{"code": "x"}\n```', {"code": "x"}),
        ("```python\n{'a': 1}\n```", {"code": "{'a': 1}"}),
    ],
)
def test_interpreter_calls(text: str, arguments: dict[str, Any]) -> None:
    assert read_interpreter_call(text, "code") == arguments


def test_no_code_is_no_call() -> None:
    for text in ("", "```python\n```", "```\n \n"):
        with pytest.raises(NotAnObject):
            read_interpreter_call(text, "code")
