"""The constraint by a grammar, over the tokenizers of both demo models; json and jsonschema judge the answers."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.grammar import GrammarConstraint
from chatglm_server.decoding.constraints.grammars import GrammarError, Grammars
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.tokenizer import Tokenizer

MODELS = Path(__file__).parent.parent.parent / "models"
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "kind": {"enum": ["one", "two", 3]},
        "sizes": {"type": "array", "items": {"type": "integer", "minimum": -5, "maximum": 5}, "maxItems": 3},
    },
    "required": ["name", "kind"],
    "additionalProperties": False,
}
JSON = f"start: %json {json.dumps(SCHEMA)}\n"


class Vocabulary:
    """A demo model's tokenizer and the grammars over it."""

    def __init__(self, name: str) -> None:
        file = read_model_file(MODELS / name)
        chat_format = FORMATS[file.chat_format]
        self.tokenizer: Tokenizer = file.load_tokenizer(chat_format)
        self.size = file.spec.vocab_size
        self.ends = {*file.end_tokens, *(self.tokenizer.specials[name] for name in chat_format.stop_tokens)}
        self.grammars = Grammars(self.tokenizer, self.ends, self.size)

    def text(self, tokens: list[int]) -> bytes:
        return b"".join(self.tokenizer.token_bytes(token) for token in tokens if token not in self.ends)

    def mask(self, constraint: GrammarConstraint) -> set[int]:
        mask = TokenMask(self.size)
        constraint.fill(mask)
        return set(mask)

    def noise(self, constraint: GrammarConstraint, seed: int, most: int = 400) -> list[int]:
        """An answer of allowed tokens that are drawn at random, a quarter of them from those that close something."""
        closing = {token for token in range(self.size) if self.tokenizer.token_bytes(token)[:1] in (b'"', b"}", b"]")}
        draw, tokens = random.Random(seed), list[int]()
        while len(tokens) < most:
            following = constraint.forced()
            if not following:
                allowed = self.mask(constraint)
                assert allowed
                narrow = allowed & closing if draw.random() < 0.25 else set()
                following = [draw.choice(sorted(narrow or allowed))]
            constraint.accept(following)
            tokens += following
            if tokens[-1] in self.ends:
                break
        return tokens


@pytest.fixture(scope="module", params=["demo-chatglm3.bin", "demo-glm4.bin"])
def vocabulary(request: pytest.FixtureRequest) -> Iterator[Vocabulary]:
    yield Vocabulary(request.param)


def test_every_ended_answer_is_a_sentence(vocabulary: Vocabulary) -> None:
    grammar = vocabulary.grammars.compile(JSON)
    ended = 0
    for seed in range(40):
        tokens = vocabulary.noise(grammar.constraint(), seed)
        if tokens[-1] in vocabulary.ends:
            jsonschema.validate(json.loads(vocabulary.text(tokens)), SCHEMA)
            ended += 1
    assert ended > 20


def test_forced_text_is_cut_as_the_tokenizer_cuts_it(vocabulary: Vocabulary) -> None:
    """Also by SentencePiece, which puts a blank before a text that it is given alone."""
    constraint = vocabulary.grammars.compile('start: "get_weather of Paris" | "get_weather of Rome"\n').constraint()
    tokens = list(constraint.forced())
    whole = vocabulary.tokenizer.encode_text("\nget_weather of Paris")
    lines = [place for place, token in enumerate(whole) if vocabulary.tokenizer.token_bytes(token).endswith(b"\n")]
    assert tokens
    assert whole[lines[0] + 1 :][: len(tokens)] == tokens
    assert b"get_weather of Paris".startswith(vocabulary.text(tokens))


def test_nothing_changes_if_forced_tokens_are_sampled(vocabulary: Vocabulary) -> None:
    grammar = vocabulary.grammars.compile(JSON)
    tokens = vocabulary.noise(grammar.constraint(), 3)
    forced, sampled = grammar.constraint(), grammar.constraint(samples_all=True)
    place = alone = 0
    while place < len(tokens):
        run = list(forced.forced())
        for token in run or tokens[place : place + 1]:
            mask = vocabulary.mask(sampled)
            assert mask == {token} if run else token in mask
            assert not sampled.forced()
            sampled.accept([token])
            alone += len(run) > 0
        forced.accept(run or tokens[place : place + 1])
        place += len(run) or 1
    assert alone > 3


def test_a_rollback_leads_back(vocabulary: Vocabulary) -> None:
    """Masks and forced tokens are those of a constraint that never went ahead."""
    grammar = vocabulary.grammars.compile(JSON)
    tokens = vocabulary.noise(grammar.constraint(), 5)[:60]
    constraint, draw = grammar.constraint(), random.Random(1)
    seen = []
    for token in tokens:
        seen.append((vocabulary.mask(constraint), list(constraint.forced())))
        constraint.accept([token])
    for place in (len(tokens) // 2, 3, 0):
        constraint.rollback(len(tokens) - place)
        assert (vocabulary.mask(constraint), list(constraint.forced())) == seen[place]
        for token in tokens[place:]:
            constraint.accept([token])
    constraint.rollback(draw.randrange(len(tokens)))


def test_text_never_allows_a_special_token(vocabulary: Vocabulary) -> None:
    mask = vocabulary.mask(vocabulary.grammars.compile("start: /(?s:.*)/\n").constraint())
    specials = set(vocabulary.tokenizer.specials.values())
    assert mask & specials == vocabulary.ends & specials
    assert mask >= vocabulary.ends, "the text may end"
    assert not mask & set(range(vocabulary.tokenizer.size, vocabulary.size))


def test_a_token_that_is_not_allowed_is_an_error(vocabulary: Vocabulary) -> None:
    constraint = vocabulary.grammars.compile('start: "a" | "b"\n').constraint()
    with pytest.raises(RuntimeError):
        constraint.accept(vocabulary.tokenizer.encode_text("x")[-1:])
    with pytest.raises(RuntimeError):
        vocabulary.mask(constraint)


@pytest.mark.parametrize(
    "grammar", ["start: nothing\n", "start: /(/\n", 'start: "a" ' * 40_000, "", "start: %json 3\n"]
)
def test_what_cannot_be_compiled_is_one_line(vocabulary: Vocabulary, grammar: str) -> None:
    with pytest.raises(GrammarError) as error:
        vocabulary.grammars.compile(grammar)
    assert len(str(error.value).splitlines()) == 1


def test_grammars_are_kept_within_bounds(vocabulary: Vocabulary) -> None:
    grammars = Grammars(vocabulary.tokenizer, vocabulary.ends, vocabulary.size)
    texts = [f"start: %json {json.dumps({'enum': [number, 'x' * 150_000]})}\n" for number in range(10)]
    for text in texts:
        grammars.compile(text)
    kept = [text for text in texts if grammars._compiled.get(text) is not None]
    assert 4 <= len(kept) <= 6
    assert kept == texts[-len(kept) :]


def test_threads_share_a_grammar(vocabulary: Vocabulary) -> None:
    """Answers of one grammar are masked at the same time; each is the one that it is alone."""
    grammar = vocabulary.grammars.compile(JSON.replace("name", "title"))
    alone = [vocabulary.noise(grammar.constraint(), seed) for seed in range(12)]
    together: dict[int, list[int]] = {}

    def answer(first: int) -> None:
        for seed in range(first, 12, 4):
            together[seed] = vocabulary.noise(vocabulary.grammars.compile(grammar_text).constraint(), seed)

    grammar_text = JSON.replace("name", "title")
    threads = [threading.Thread(target=answer, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [together[seed] for seed in range(12)] == alone
