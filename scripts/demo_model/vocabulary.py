"""What both tokenizers are made from: how often words, characters and pieces of JSON occur in the training text.

Copying is what the demo models have to be good at, so a word has to be cut into the same tokens wherever it stands: in
a question, in a schema, between quotes. Therefore joins of letters come before all others, no token holds letters
together with a digit or a mark, and a blank joins only with a few small words, after all else is joined.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .text.conversations import Conversation, conversation
from .text.draw import Draw

LETTER_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""A word; camelCase is cut where the case changes."""

HAN = re.compile(r"[\u3000-\u303f\u4e00-\u9fff\uff00-\uffef“”‘’°×]")

SMALL_WORDS = (
    *("the", "a", "to", "of", "is", "in", "for", "and", "me", "my", "what", "please", "with", "you", "can", "I"),
    *("it", "on", "at", "are", "do", "not", "have", "that", "by", "from", "your", "be", "will"),
)
"""Words that may be one token together with the blank before them."""

_OPEN, _CLOSE = "\ue000", "\ue001"
_MASKED = re.compile(f"{_OPEN}[^{_CLOSE}]*{_CLOSE}")
_CONTENT_KEYS = ("name", "description", "title", "default", "enum", "required")


@dataclass
class Counts:
    """What a sample of the training text holds."""

    words: Counter[str]
    characters: Counter[str]
    skeleton: Counter[str]


def count(draw: Draw, samples: int, indent: int) -> Counts:
    """Counts over `samples` conversations whose tools are written as JSON with this indentation."""
    counts = Counts(Counter(), Counter(), Counter())
    for _ in range(samples):
        made = conversation(draw)
        for text in contents(made):
            counts.words.update(LETTER_RUN.findall(text))
            counts.characters.update(HAN.findall(text))
        if made.tools:
            text = json.dumps([_mask(tool.function) for tool in made.tools], indent=indent, ensure_ascii=False)
            counts.skeleton.update(_MASKED.split(text))
    return counts


def contents(made: Conversation) -> Iterator[str]:
    """Every text of a conversation that is not boilerplate."""
    for message in made.messages:
        yield message.content
        for call in message.tool_calls:
            yield call.name
            yield json.dumps(call.arguments, ensure_ascii=False)
    for tool in made.tools:
        yield from _strings(tool.function)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, entry in value.items():
            yield key
            yield from _strings(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _strings(entry)


def _mask(value: Any, content: bool = False, names: bool = False) -> Any:
    """A declaration whose own words are marked, so that what is left is the boilerplate of JSON schemas."""
    if isinstance(value, str):
        return _OPEN + value + _CLOSE if content else value
    if isinstance(value, list):
        return [_mask(entry, content) for entry in value]
    if isinstance(value, dict):
        return {
            (_OPEN + key + _CLOSE if names else key): _mask(
                entry, key in _CONTENT_KEYS and not names, key == "properties"
            )
            for key, entry in value.items()
        }
    return value


def most_common(counter: Counter[str], count: int, least: int = 3) -> list[str]:
    """The `count` most frequent entries that occur at least `least` times; ties in order of the entries."""
    ranked = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return [entry for entry, times in ranked[:count] if times >= least]


def letters(words: Counter[str], least: int = 4) -> dict[tuple[str, ...], int]:
    """Words that occur at least `least` times, as sequences of letters, for `bpe.learn_merges`."""
    return {tuple(word): times for word, times in words.items() if len(word) > 1 and times >= least}


def unique(entries: Iterable[str]) -> list[str]:
    """The entries without repetitions, in order."""
    return list(dict.fromkeys(entry for entry in entries if entry))
