"""Conversations whose answers repeat what was read, each in its own way, and one whose answer does not.

They are texts of this project, frozen in ``texts/``. Each word, number, run of marks or run of blanks is a token,
nearly as in the vocabularies of large models.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from chatglm_server.decoding.drafting.spellings import other_spellings

_TEXTS = Path(__file__).parent / "texts"
_TOKEN = re.compile(r"[^\r\n\w]?[^\W\d_]+|_+[^\W\d_]*|\d{1,3}| ?[^\s\w]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
_FIRST_ID = 100
_PATH = "chatglm_server/decoding/kv_cache.py"
_SHELL = (
    ("git status", "See what has changed", "On branch main\nnothing to commit, working tree clean\n"),
    ("ls tests/decoding", "List the tests", "test_drafting.py\ntest_kv_cache.py\ntest_scheduler.py\n"),
    ("grep -rn 'class KVCache' chatglm_server", "Find the cache", f"{_PATH}:34:class KVCache:\n"),
    (f"sed -n 1,40p {_PATH}", "Read the cache", "…\n"),
    ("python -m pytest tests/decoding/test_kv_cache.py -q", "Run its tests", "12 passed in 1.31s\n"),
)
_MORE_SHELL = (
    (f"sed -n 40,90p {_PATH}", "Read on"),
    ("grep -rn 'make_room' chatglm_server", "Find who makes room"),
    ("sed -n 200,240p chatglm_server/decoding/scheduler.py", "Read how the steps are made"),
    ("git diff --stat", "See what has changed"),
    ("python -m pytest tests/decoding/test_kv_cache.py tests/decoding/test_scheduler.py -q", "Run both test files"),
    ("ls tests", "List all tests"),
    ("grep -rn 'KVCache' tests", "Find the tests of the cache"),
    ("python -m pytest tests/decoding/test_kv_cache.py -q -k room", "Run the tests of its memory"),
    ("git add -A && git status", "See what will be committed"),
    ("git log --oneline -3", "See how commits are written"),
)


@dataclass(frozen=True)
class Conversation:
    """Token ids of a prompt, of its answer, and of the prompt's other spellings, from which the server drafts, too.

    `label` says how the answer repeats the prompt.
    """

    name: str
    label: str
    prompt: Sequence[int]
    answer: Sequence[int]
    others: Sequence[int] = ()


def conversations(most: int) -> list[Conversation]:
    """All of them, always the same, with answers of `most` tokens at most."""
    ids: dict[str, int] = {}

    def encode(text: str) -> list[int]:
        return [ids.setdefault(token, _FIRST_ID + len(ids)) for token in _TOKEN.findall(text)]

    made: list[Conversation] = []
    for name, label, prompt, answer in _texts():
        others = [token for text in other_spellings([prompt], len(prompt), in_json=True) for token in encode(text)]
        made.append(Conversation(name, label, encode(prompt), encode(answer)[:most], others))
    return made


def _texts() -> Iterator[tuple[str, str, str, str]]:
    """Names, labels, prompts and answers."""
    code, document, prose = (_read(name) for name in ("code", "document", "prose"))
    yield "rewrite", "a file, 4% of its lines edited", f"Rename as we said:\n{code}", _edited(code)
    paragraphs = [part for part in document.split("\n\n") if len(part) > 500]
    quotation = "\n\nIt goes on:\n\n".join(paragraphs[place] for place in (2, 0, 1))
    yield "quote", "quotations from a document", f"{document}\nWhat does it say of tokens?\n", quotation
    rows = list(_rows())
    paid = "\n".join(row for row in rows if '"paid": true' in row)
    yield "rows", "rows of a JSON result", "\n".join(rows) + "\nThe paid ones?\n", paid
    lines = code.splitlines(keepends=True)
    old = "".join(lines[44:66])
    edit = _call("edit", path=_PATH, old_string=old, new_string=old.replace("self._slots", "self._all", 1))
    yield "edit", "an edit call, raw arguments", f"{_PATH}:\n{code}\nedit(path, old_string, new_string)\n", edit
    history = "".join(_shell(command, why) + f"<|observation|>\n{result}" for command, why, result in _SHELL)
    numbered = "".join(f"{number}\t{line}" for number, line in enumerate(lines, 1))
    written = {"path": _PATH, "content": _edited(code)}
    yield "numbered", "a numbered file, rewritten", f"{_PATH}:\n{numbered}\n", _call("write", **written)
    yield "escaped", "the same as JSON", f"{_PATH}:\n{numbered}\n", f"write\n{json.dumps(written)}"
    yield "shell", "shell calls of an agent", history, "".join(_shell(*one) for one in _MORE_SHELL)
    yield "prose", "prose not seen before", document, prose


def _read(name: str) -> str:
    return (_TEXTS / f"{name}.txt").read_text(encoding="utf-8")


def _edited(code: str) -> str:
    """One line in 25 has a word replaced, is gone, or has a remark."""
    lines, draw = code.splitlines(keepends=True), random.Random(4)
    chosen = set(draw.sample([place for place, line in enumerate(lines) if len(line) > 20], len(lines) // 25))
    edited = []
    for place, line in enumerate(lines):
        change = draw.randrange(3) if place in chosen else None
        if change == 0:
            line = re.sub(r"\w{5,}", "renamed", line, count=1)
        elif change == 1:
            line = line.rstrip("\n") + "  # as before\n"
        if change != 2:
            edited.append(line)
    return "".join(edited)


def _rows() -> Iterator[str]:
    draw = random.Random(7)
    for number in range(60):
        name, city = draw.choice(["Anna", "Bert", "Carla", "Dora"]), draw.choice(["Paris", "Rome", "Oslo", "Bonn"])
        row = {"id": number, "name": name, "city": city, "amount": draw.randrange(10_000), "paid": draw.random() < 0.5}
        yield json.dumps(row)


def _shell(command: str, why: str) -> str:
    return _call("shell", command=command, description=why)


def _call(name: str, **arguments: str) -> str:
    """As GLM-4.5 and later write calls."""
    pairs = (f"<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n" for key, value in arguments.items())
    return f"\n<tool_call>{name}\n{''.join(pairs)}</tool_call>"
