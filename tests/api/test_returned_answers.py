"""Answers that come back are read as they were sampled: a turn reads its new tokens, whatever a client does to JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from benchmark.scripted_server import ScriptedBackend, encode
from benchmark.tool_loops import DIALECTS, HABITS, TOOLS, Chat, Json, result, said

from chatglm_server.decoding.backends import BACKENDS, BackendOptions
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.decoding.snapshots.blocks import BLOCK
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.model_file import ModelFile
from chatglm_server.settings import Settings
from tests.random_gguf import GLM4_0414, write_random_gguf
from tests.serving_here import serving
from tests.token_level import model_runner
from tests.toy_backend import ToyBackend, ToyModel

SHAPE = replace(GLM4_0414, context=32768)
TURNS = 30
READ_PAGE = [tool for tool in TOOLS if tool["name"] == "read_page"]
SAID: dict[str, Callable[[int], str]] = {
    "glm47": said,
    "glm4": lambda turn: f'read_page\n{{"line":3,  "path" : "pages/{turn}"}}<|observation|>',
    "chatglm3": lambda turn: f' read_page\n ```python\ntool_call(line = 3,path="pages/{turn}")\n```<|observation|>',
}
"""A turn of each format, not as its own layout would write it."""
DROPS, REWRITES = HABITS[1], HABITS[-1]
ADDS = next(habit for habit in HABITS if habit.adds_defaults)


class Turns(ToyModel):
    """Says `turns`, the one after as many results of tools as the conversation holds."""

    turns: ClassVar[list[list[int]]] = []
    specials: ClassVar[dict[str, int]] = {}
    chunk = 512
    made: ClassVar[Turns]
    """The one that was made last."""

    def __init__(self, vocab_size: int, slots: int) -> None:
        super().__init__(vocab_size, (), slots)
        self.last: list[int] = []
        """The tokens before the one that was sampled last."""
        Turns.made = self

    def _logits(self, tokens: list[int]) -> Any:
        result, assistant = self.specials["<|observation|>"], self.specials["<|assistant|>"]
        start = len(tokens) - tokens[::-1].index(assistant)
        start += tokens[start : start + 1] == [self.specials.get("<think>", -1)]
        self.script = self.turns[tokens[:start].count(result)]
        self.last = tokens
        return super()._logits(tokens[start:])


class TurnsBackend(ToyBackend):
    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ModelRunner:
        return model_runner(Turns(file.spec.vocab_size, options.parallel))


@contextmanager
def page_server(folder: Path, chat_format: str) -> Iterator[str]:
    """A server with a model that calls a tool in each of `TURNS` turns."""
    vocabulary = {"chatglm3": "llama", "glm4": "gpt2"}.get(chat_format, chat_format)
    path = write_random_gguf(folder / "model.gguf", SHAPE, vocabulary=vocabulary)
    tokenizer = read_model_file(path).load_tokenizer(FORMATS[chat_format])
    Turns.specials = tokenizer.specials
    Turns.turns = [encode(tokenizer, SAID[chat_format](turn)) for turn in range(TURNS)]
    settings = Settings(
        _env_file=None,
        model=str(path),
        engine="turns",
        chat_format=chat_format,
        parallel=1,
        tool_grammar="off",
        speculation="off",
    )
    with serving(settings) as (address, _):
        yield address


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "turns", f"{__name__}:TurnsBackend")


def ask(url: str, conversation: Chat) -> Json:
    response = httpx.post(url + conversation.path, json=conversation.body(), timeout=60)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


@pytest.mark.parametrize("chat_format", SAID)
def test_a_turn_reads_only_its_new_tokens(chat_format: str, tmp_path: Path) -> None:
    with page_server(tmp_path, chat_format) as url:
        model = Turns.made
        for dialect, habit in product(DIALECTS, HABITS if chat_format == "glm47" else (DROPS, ADDS, REWRITES)):
            if not dialect.can(habit):
                continue
            conversation = dialect(habit, "Read on.", READ_PAGE)
            held: list[int] = []
            few = 4 if habit.empty_text else 2  # the third answer is the first without text
            for turn in range(TURNS if chat_format == "glm47" and habit is REWRITES else few):
                model.read.clear()
                answer = ask(url, conversation)
                case = (dialect.name, habit.name, turn)
                assert model.last[: len(held)] == held, case
                if held:
                    assert sum(model.read) == len(model.last) - len(held), case
                held = list(model.last)
                assert conversation.go_on(answer, "It is empty.") == f"pages/{turn}"


def text_of(tokens: list[int]) -> str:
    """Text alone: the vocabulary's tokens of single bytes come first, in their order."""
    return bytes(token for token in tokens if token < 256).decode(errors="replace")


def test_what_a_client_has_changed_is_read_as_it_stands(tmp_path: Path) -> None:
    with page_server(tmp_path, "glm47") as url:
        conversation = Chat(REWRITES, "Read on.", READ_PAGE)
        for _ in range(3):
            conversation.go_on(ask(url, conversation), "It is empty.")
        first, second = conversation.history[1], conversation.history[3]
        second["content"] = "So be it!"
        ask(url, conversation)
        assert "So be it!" in text_of(Turns.made.last)
        first["tool_calls"][0]["function"]["arguments"] = '{"path": "Oz", "line": 3}'
        ask(url, conversation)
        assert "Oz" in text_of(Turns.made.last)
        assert "pages/0" not in text_of(Turns.made.last)


def test_thoughts_of_earlier_turns_stay_out(tmp_path: Path) -> None:
    """The format leaves them out from the next question on; what was sampled is no reason to read them again."""
    with page_server(tmp_path, "glm47") as url:
        conversation = Chat(DROPS, "Read on.", READ_PAGE)
        for _ in range(2):
            conversation.go_on(ask(url, conversation), "It is empty.")
        ask(url, conversation)
        assert text_of(Turns.made.last).count("Page ") == 3
        conversation.ask("And then?")
        for _ in range(2):
            conversation.go_on(ask(url, conversation), "It is empty.")
        assert text_of(Turns.made.last).count("Page ") == 2


def test_a_server_that_is_started_again_knows_its_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The core computes, so that prompts are on disk. The client drops thoughts, and writes JSON anew."""
    monkeypatch.setitem(BACKENDS, "scripted", f"{ScriptedBackend.__module__}:ScriptedBackend")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = Settings(
        _env_file=None,
        model=str(write_random_gguf(tmp_path / "model.gguf", SHAPE, vocabulary="glm47")),
        engine="scripted",
        chat_format="glm47",
        tool_grammar="off",
        speculation="off",
        kv_disk_after_s=0,
    )
    conversation = Chat(REWRITES, "Look at all pages.")
    held = 0
    for turns in (range(3), range(3, 6)):
        with serving(settings) as (url, _):
            for turn in turns:
                answer = httpx.post(url + conversation.path, json=conversation.body(), timeout=60).json()
                usage = answer["usage"]
                cached = usage["prompt_tokens_details"]["cached_tokens"]
                assert held - BLOCK < cached <= held
                assert cached == held - 1 or turn == turns[0]
                held = usage["total_tokens"]
                conversation.go_on(answer, result(turn))
