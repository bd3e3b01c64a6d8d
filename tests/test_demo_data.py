"""The text that the demo models learn from: the same for the same seed, and without the words kept for measuring."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))

from demo_model.conversations import conversation
from demo_model.draw import HELD_OUT_EVERY, Draw
from demo_model.tools import generic_tool
from demo_model.words import CITIES, TOPICS


def texts(seed: int, count: int) -> str:
    draw = Draw(seed)
    made = [conversation(draw) for _ in range(count)]
    return "\n".join(
        json.dumps([tool.function for tool in one.tools], ensure_ascii=False)
        + "\n".join(message.content for message in one.messages)
        for one in made
    )


def test_a_seed_always_gives_the_same_text() -> None:
    assert texts(5, 30) == texts(5, 30) != texts(6, 30)


def test_training_never_draws_the_words_kept_for_measuring() -> None:
    kept = {chinese for _, chinese in CITIES[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY] if len(chinese) > 2}
    seen = texts(7, 1500)
    assert not {city for city in kept if city in seen}
    assert any(city in seen for _, city in CITIES[::HELD_OUT_EVERY])


@pytest.mark.parametrize("held_out", [False, True])
def test_a_question_asks_for_declared_arguments_only(held_out: bool) -> None:
    draw = Draw(8, held_out)
    topics = {english for english, _ in TOPICS[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]}
    for _ in range(300):
        tool = generic_tool(draw)
        assert held_out or tool.topic[0] not in topics
        for ask in (tool.ask(draw, "en"), tool.ask(draw, "zh")):
            schema = tool.function.get("parameters", {})
            assert ask.name == tool.function["name"]
            assert ask.arguments.keys() <= schema.get("properties", {}).keys()
            assert set(schema.get("required", [])) <= ask.arguments.keys()
