"""Other spellings of files, against the programs that number lines and the library that writes JSON."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from chatglm_server.decoding.drafting import spellings
from chatglm_server.decoding.drafting.spellings import other_spellings

PATH = Path(spellings.__file__)
CODE = PATH.read_text(encoding="utf-8")
ENOUGH = 10 * len(CODE)


def output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def spelled(text: str, *, in_json: bool = False) -> list[str]:
    return other_spellings([text], ENOUGH, in_json=in_json)


NUMBERED = {
    "cat": output("cat", "-n", str(PATH)),
    "grep": output("grep", "-n", "", str(PATH)),
    "arrows": "".join(f"{number:6}→{line}" for number, line in enumerate(CODE.splitlines(keepends=True), 1)),
    "bars": "".join(f"{number:05}| {line}" for number, line in enumerate(CODE.splitlines(keepends=True), 1)),
}


@pytest.mark.parametrize("numbered", NUMBERED.values(), ids=NUMBERED)
def test_a_file_without_its_line_numbers(numbered: str) -> None:
    assert spelled(f"Of the file:\n{numbered}End.") == [f"Of the file:\n{CODE}End."]
    assert spelled(numbered, in_json=True) == [CODE, escaped(CODE)]


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_file_out_of_json(ensure_ascii: bool) -> None:
    for text in CODE, NUMBERED["cat"]:
        result = json.dumps({"path": str(PATH), "content": text, "lines": 40}, ensure_ascii=ensure_ascii)
        assert spelled(f"It is:\n{result}") == [CODE]


def test_a_file_inside_json() -> None:
    assert spelled(CODE) == []
    assert escaped(CODE) in spelled(CODE, in_json=True)


def test_text_that_has_one_spelling() -> None:
    for text in ("", "no lines", "1\tone\n2\ttwo\n", "12:30 is\nlate\n1. first\n2. second\n3. third\n", '"a\\nb\\nc"'):
        assert spelled(text) == []


@pytest.mark.parametrize(
    "broken", ['"a\\nb\\nc\\nd', '"\\n\\n\\n\\q"', '"\\n\\n\\n\\ud800"', '"\\n\\n\\n\\u12"', '\\"\\n' * 9]
)
def test_what_is_no_json(broken: str) -> None:
    assert spelled(broken) == []
    whole = json.dumps(CODE)
    assert spelled(f"{broken}\n{whole}") == [CODE], "a broken string ends with its line"


def test_the_latest_texts_come_last_and_the_earliest_are_left_out() -> None:
    files = [f"1\t{name}\n2\t{name}\n3\t{name}\n" for name in "abc"]
    bare = ["a\na\na\n", "b\nb\nb\n", "c\nc\nc\n"]
    assert other_spellings(files, 100, in_json=False) == bare
    assert other_spellings(files, 24, in_json=False) == bare[1:]
    assert other_spellings(files, 12, in_json=False) == bare[2:]
    assert other_spellings([json.dumps(CODE * 9)], 100, in_json=False) == []


@pytest.mark.parametrize("pattern", ['"', '\\"', '"\\', "1", "1\t", "1:\n", " ", "\n" + 99 * " ", '"\\n', '\\u12"'])
def test_no_text_takes_long(pattern: str) -> None:
    """Time grows with the length, or this would take hours."""
    text = pattern * (1_000_000 // len(pattern))
    assert len("".join(other_spellings([text], len(text), in_json=True))) <= 7 * len(text)
