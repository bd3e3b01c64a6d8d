"""The text that the demo models learn from: the same for the same seed, and without what is kept for measuring."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from demo_model.evaluation import cases, judge
from demo_model.recipes import RECIPES, prepare
from demo_model.text.conversations import Conversation, conversation
from demo_model.text.draw import HELD_OUT_EVERY, Draw
from demo_model.text.tools import generic_tool
from demo_model.text.words import CITIES, NOUNS, Pair
from demo_model.training import batches
from demo_model.vocabulary import contents

from chatglm_server.answer import Answer
from chatglm_server.chat import TextDelta
from chatglm_server.model_files.chatglm_bin import read_chatglm_bin

MODELS = Path(__file__).resolve().parent.parent / "models"


def texts(seed: int, count: int) -> str:
    """All that `count` conversations say and declare."""
    draw = Draw(seed)
    return "\n".join(text for _ in range(count) for text in contents(conversation(draw)))


def kept(bank: tuple[Pair, ...]) -> list[Pair]:
    return list(bank[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY])


def test_a_seed_always_gives_the_same_text() -> None:
    assert texts(5, 30) == texts(5, 30) != texts(6, 30)


def test_training_never_draws_the_words_kept_for_measuring() -> None:
    seen = texts(7, 1500)
    words = Counter(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r" \1", seen).lower()))
    counts = [words[english] for english, _ in NOUNS]
    assert max(counts[HELD_OUT_EVERY - 1 :: HELD_OUT_EVERY]) < 3  # an invented word may happen to be one of them
    assert sum(count > 3 for count in counts) > len(NOUNS) / 2
    assert not {chinese for _, chinese in (*kept(NOUNS), *kept(CITIES)) if len(chinese) > 2 and chinese in seen}


def test_two_words_are_drawn_together_for_training_or_for_measuring() -> None:
    trained, measured = Draw(1), Draw(1, held_out=True)
    pairs = [{draw.pair(NOUNS) for _ in range(20000)} for draw in (trained, measured)]
    assert not pairs[0] & pairs[1]
    known = [set(itertools.chain.from_iterable(found)) for found in pairs]
    assert known[0] == known[1] == set(NOUNS[: -(len(NOUNS) % HELD_OUT_EVERY) or None]) - set(kept(NOUNS))


@pytest.mark.parametrize("held_out", [False, True])
def test_a_question_asks_for_declared_arguments_only(held_out: bool) -> None:
    draw = Draw(8, held_out)
    for _ in range(300):
        tool = generic_tool(draw)
        for ask in (tool.ask(draw, "en"), tool.ask(draw, "zh")):
            schema = tool.function.get("parameters", {})
            assert ask.name == tool.function["name"]
            assert ask.arguments.keys() <= schema.get("properties", {}).keys()
            assert set(schema.get("required", [])) <= ask.arguments.keys()
            json.dumps(ask.arguments)


def test_a_measured_call_names_one_of_its_tools() -> None:
    calls = [(case.conversation, case.call) for case in cases(3, 40) if case.call]
    assert len(calls) > 100
    for made, (name, arguments) in calls:
        (tool,) = [tool for tool in made.tools if tool.function["name"] == name]
        assert arguments.keys() <= tool.function.get("parameters", {}).get("properties", {}).keys()


def test_a_call_that_was_begun_is_no_refusal() -> None:
    case = next(case for case in cases(3, 2) if case.kind == "refusal")
    name = case.conversation.tools[0].name
    answers = ["Hello!", f"I could use {name}", f"{name}\n{{broken", ""]
    assert [judge(case, Answer.of([TextDelta(text)])) for text in answers] == [
        (True, True), (True, True), (False, False), (False, True)
    ]  # fmt: skip


@pytest.mark.parametrize("name", RECIPES)
def test_what_is_learned_goes_on_from_what_the_server_asks(name: str) -> None:
    recipe = RECIPES[name]
    prepared = prepare(recipe, 1, read_chatglm_bin(MODELS / f"{recipe.name}.bin").tokenizer)
    draw = Draw(9)
    for _ in range(50):
        made = conversation(draw)
        whole = prepared.codec.sequence(made)
        assert whole.ids[-1] in prepared.stops
        assert whole.written[-1] > 0
        for end, message in enumerate(made.messages):
            if message.role == "assistant":
                asked = prepared.codec.prompt(Conversation(made.tools, made.messages[:end]))
                assert whole.ids[: len(asked)] == asked
                assert whole.written[len(asked) - 1 : len(asked) + 2] == [0, 1, 2]


@pytest.mark.parametrize("name", RECIPES)
def test_a_drill_has_any_tokens_repeated(name: str) -> None:
    recipe = RECIPES[name]
    prepared = prepare(recipe, 1, read_chatglm_bin(MODELS / f"{recipe.name}.bin").tokenizer)
    draw, seen = Draw(2), set()
    for _ in range(1000):
        made = prepared.codec.drill(draw)
        answer = [token for token, place in zip(made.ids, made.written, strict=True) if place]
        read = made.ids[: -len(answer)]
        drilled = answer[-5:-1]
        assert read[-5:-1] == drilled
        assert read[-1] == prepared.codec.tokenizer.specials["<|assistant|>"]
        assert answer[-1] in prepared.stops
        seen.update(drilled)
    assert len(seen) > 0.6 * len(prepared.codec.plain)
    assert not seen & set(prepared.codec.tokenizer.specials.values())


def test_batches_hold_whole_conversations_of_the_plan() -> None:
    recipe = RECIPES["chatglm3"]
    prepared = prepare(recipe, 1, read_chatglm_bin(MODELS / f"{recipe.name}.bin").tokenizer)
    for batch in itertools.islice(batches(prepared.codec, recipe.plan, 1), 10):
        rows, length = batch.ids.shape
        assert length <= recipe.plan.stages[0].longest
        assert rows * length <= recipe.plan.batch + 16 * rows
        assert batch.targets.tolist() == [batch.ids.flatten()[place + 1] for place in batch.places.tolist()]
        assert batch.written.any() and not batch.written.all()
