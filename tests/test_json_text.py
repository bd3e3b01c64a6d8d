"""JSON objects as models write them, and as clients get them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatglm_server.json_text import (
    MAX_NESTING,
    NotAnObject,
    dump_object,
    has_infinity,
    is_too_deep,
    join_surrogates,
    load_object,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{}", {}),
        (' {"a": 1}\n', {"a": 1}),
        ('{"a": 1, "a": 2}', {"a": 1}),
        ('{"a": {"b": 1, "b": 2}}', {"a": {"b": 1}}),
        ('{"a": "x\ny\t"}', {"a": "x\ny\t"}),
        ('{"a": 98765432109876543210}', {"a": 98765432109876543210}),
    ],
)
def test_objects_are_loaded(text: str, value: dict[str, Any]) -> None:
    assert load_object(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "1", '"a"', "{", '{"a": NaN}', '{"a": [-Infinity]}', "{'a': 1}", '{"a": 1} x'],
)
def test_all_else_is_not_an_object(text: str) -> None:
    with pytest.raises(NotAnObject):
        load_object(text)


def test_what_python_would_choke_on_is_not_an_object() -> None:
    for text in ('{"a": ' + "[" * 100_000, '{"a": ' + "9" * 10_000 + "}"):
        with pytest.raises(NotAnObject):
            load_object(text)


def test_dumped_text_is_json_in_utf8() -> None:
    text = dump_object({"名": "海\ud83c\udf0a", "half": "\ud83c"})

    assert text == '{"名": "海🌊", "half": "\ufffd"}'
    assert json.loads(text.encode()) == {"名": "海🌊", "half": "\ufffd"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 16**10_000], ids=["nan", "inf", "huge"])
def test_numbers_without_a_spelling_are_refused(number: float) -> None:
    with pytest.raises(NotAnObject):
        dump_object({"a": [number]})


@pytest.mark.parametrize(("open_", "close"), [("[", "]"), ('{"a": ', "}")])
def test_nesting_has_a_limit(open_: str, close: str) -> None:
    for levels in (0, 1, MAX_NESTING, MAX_NESTING + 1, 2 * MAX_NESTING):
        value = json.loads(open_ * levels + "1" + close * levels)
        assert is_too_deep(value) is (levels > MAX_NESTING)


def test_text_without_surrogates_is_not_touched() -> None:
    for text in ("", "plain", "海🌊"):
        assert join_surrogates(text) is text


def test_infinity_is_found_at_any_depth() -> None:
    assert has_infinity({"a": [{"b": [1, 2.5, json.loads("-1e999")]}]})
    assert not has_infinity({"a": [{"b": [10**400, 1.7e308, "1e999", None, True]}]})
