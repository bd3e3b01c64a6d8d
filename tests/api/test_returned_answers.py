"""Answers that come back are read as they were sampled: a turn reads its new tokens, whatever a client does to JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from benchmark import tool_loops
from benchmark.scripted_server import ScriptedBackend

from chatglm_server.decoding.backends import BACKENDS, BackendOptions
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.decoding.snapshots.blocks import BLOCK
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.model_file import ModelFile
from chatglm_server.model_files.tokenizer import Tokenizer
from chatglm_server.settings import Settings
from tests.random_gguf import GLM4_0414, write_random_gguf
from tests.serving_here import serving
from tests.token_level import model_runner
from tests.toy_backend import ToyBackend, ToyModel

Turn = dict[str, Any]
SHAPE = replace(GLM4_0414, context=32768)
TURNS = 30
CITIES = [f"C{number}" for number in range(TURNS)]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "exact": {"type": "boolean"}},
    "required": ["city"],
}
QUESTION = "How will the weather be, city by city?"
SAID = {
    "glm47": "Hm.</think>So.\n<tool_call>get_weather<arg_key>days</arg_key><arg_value>3"
    "</arg_value>\n<arg_key>city</arg_key><arg_value>{0}</arg_value></tool_call><|observation|>",
    "glm4": 'get_weather\n{{"days":3,  "city" : "{0}"}}<|observation|>',
    "chatglm3": ' get_weather\n ```python\ntool_call(days = 3,city="{0}")\n```<|observation|>',
}
"""A turn of each format, not as its own layout would write it."""


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


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    """Marks as special tokens, and all other text a character at a time, as no tokenizer cuts it."""
    ids: list[int] = []
    while text:
        mark = next((name for name in tokenizer.specials if text.startswith(name)), "")
        ids += [tokenizer.specials[mark]] if mark else tokenizer.encode_text(text[0])[-1:]
        text = text[len(mark) or 1 :]
    return ids


@contextmanager
def weather_server(folder: Path, chat_format: str) -> Iterator[str]:
    """A server with a model that calls a tool in each of `TURNS` turns."""
    vocabulary = {"chatglm3": "llama", "glm4": "gpt2"}.get(chat_format, chat_format)
    path = write_random_gguf(folder / "model.gguf", SHAPE, vocabulary=vocabulary)
    tokenizer = read_model_file(path).load_tokenizer(FORMATS[chat_format])
    Turns.specials = tokenizer.specials
    Turns.turns = [encode(tokenizer, SAID[chat_format].format(city)) for city in CITIES]
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


class Verbatim:
    """A client that sends back all that it got."""

    keeps_thoughts = True

    def text(self, text: str) -> str:
        return text

    def arguments(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return arguments

    def json(self, text: str) -> str:
        return text


class Rewriting(Verbatim):
    """Keeps no thoughts, trims text, and writes JSON anew, its keys in another order."""

    keeps_thoughts = False

    def text(self, text: str) -> str:
        return text.strip()

    def arguments(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return dict(sorted(arguments.items()))

    def json(self, text: str) -> str:
        return json.dumps(self.arguments(json.loads(text)), indent=2)


class Completing(Verbatim):
    """Adds to a call what the tool takes if nothing is said."""

    def arguments(self, arguments: dict[str, Any]) -> dict[str, Any]:
        return {"exact": False} | arguments

    def json(self, text: str) -> str:
        return json.dumps(self.arguments(json.loads(text)))


FUNCTION = {"name": "get_weather", "description": "The weather.", "parameters": PARAMETERS}


class Chat:
    """A conversation by OpenAI's chat completions."""

    path = "/v1/chat/completions"

    def __init__(self, habit: Verbatim) -> None:
        self.habit = habit
        self.history: list[Turn] = [{"role": "user", "content": QUESTION}]

    def body(self) -> Turn:
        return {"messages": self.history, "tools": [{"type": "function", "function": FUNCTION}]}

    def go_on(self, answer: Turn, result: str) -> str:
        """Note an answer, and the result of its call. Returns the city that the call names."""
        message = answer["choices"][0]["message"]
        (call,) = message["tool_calls"]
        city = json.loads(call["function"]["arguments"])["city"]
        function = {"name": "get_weather", "arguments": self.habit.json(call["function"]["arguments"])}
        turn = {"role": "assistant", "content": None, "tool_calls": [call | {"function": function}]}
        if message.get("content"):
            turn["content"] = self.habit.text(message["content"])
        if self.habit.keeps_thoughts and message.get("reasoning_content"):
            turn["reasoning_content"] = message["reasoning_content"]
        self.history += [turn, {"role": "tool", "tool_call_id": call["id"], "content": result}]
        return str(city)


class Messages(Chat):
    """A conversation by Anthropic's API."""

    path = "/v1/messages"

    def body(self) -> Turn:
        tool = {"name": "get_weather", "description": "The weather.", "input_schema": PARAMETERS}
        return {"model": "claude", "max_tokens": 500, "messages": self.history, "tools": [tool]}

    def go_on(self, answer: Turn, result: str) -> str:
        blocks: list[Turn] = []
        for block in answer["content"]:
            if block["type"] == "tool_use":
                city, id_ = block["input"]["city"], block["id"]
                blocks.append(block | {"input": self.habit.arguments(block["input"])})
            elif block["type"] == "text":
                blocks.append(block | {"text": self.habit.text(block["text"])})
            elif self.habit.keeps_thoughts:
                blocks.append(block)
        returned = {"type": "tool_result", "tool_use_id": id_, "content": result}
        self.history += [{"role": "assistant", "content": blocks}, {"role": "user", "content": [returned]}]
        return str(city)


class Responses(Chat):
    """A conversation by OpenAI's responses, without a store."""

    path = "/v1/responses"

    def body(self) -> Turn:
        include = ["reasoning.encrypted_content"]
        return {"input": self.history, "tools": [{"type": "function", **FUNCTION}], "store": False, "include": include}

    def go_on(self, answer: Turn, result: str) -> str:
        for item in answer["output"]:
            if item["type"] == "function_call":
                city = json.loads(item["arguments"])["city"]
                self.history.append(item | {"arguments": self.habit.json(item["arguments"])})
                self.history.append({"type": "function_call_output", "call_id": item["call_id"], "output": result})
            elif item["type"] == "message" or self.habit.keeps_thoughts:
                self.history.append(item)
        return str(city)


class OllamaChat(Chat):
    """A conversation by Ollama's API."""

    path = "/api/chat"

    def body(self) -> Turn:
        return super().body() | {"model": "model", "stream": False}

    def go_on(self, answer: Turn, result: str) -> str:
        message = answer["message"]
        (call,) = message["tool_calls"]
        city = call["function"]["arguments"]["city"]
        function = {"name": "get_weather", "arguments": self.habit.arguments(call["function"]["arguments"])}
        turn = message | {"content": self.habit.text(message["content"]), "tool_calls": [call | {"function": function}]}
        if not self.habit.keeps_thoughts:
            turn.pop("thinking", None)
        self.history += [turn, {"role": "tool", "tool_name": "get_weather", "content": result}]
        return str(city)


def ask(url: str, conversation: Chat) -> Turn:
    response = httpx.post(url + conversation.path, json=conversation.body(), timeout=60)
    assert response.status_code == 200, response.text
    answer: Turn = response.json()
    return answer


@pytest.mark.parametrize("chat_format", SAID)
def test_a_turn_reads_only_its_new_tokens(chat_format: str, tmp_path: Path) -> None:
    with weather_server(tmp_path, chat_format) as url:
        model = Turns.made
        for dialect in (Chat, Messages, Responses, OllamaChat):
            for habit in (Verbatim(), Rewriting(), Completing()):
                conversation = dialect(habit)
                held: list[int] = []
                for city in CITIES[: TURNS if chat_format == "glm47" and isinstance(habit, Rewriting) else 4]:
                    model.read.clear()
                    answer = ask(url, conversation)
                    case = (dialect.__name__, type(habit).__name__, city)
                    assert model.last[: len(held)] == held, case
                    if held:
                        assert sum(model.read) == len(model.last) - len(held), case
                    held = list(model.last)
                    assert conversation.go_on(answer, "Sunny.") == city


def text_of(tokens: list[int]) -> str:
    """Text alone: the vocabulary's tokens of single bytes come first, in their order."""
    return bytes(token for token in tokens if token < 256).decode(errors="replace")


def test_what_a_client_has_changed_is_read_as_it_stands(tmp_path: Path) -> None:
    with weather_server(tmp_path, "glm47") as url:
        conversation = Chat(Rewriting())
        for _ in CITIES[:3]:
            conversation.go_on(ask(url, conversation), "Sunny.")
        first, second = conversation.history[1], conversation.history[3]
        second["content"] = "So be it!"
        ask(url, conversation)
        assert "So be it!" in text_of(Turns.made.last)
        first["tool_calls"][0]["function"]["arguments"] = '{"city": "Oz", "days": 3}'
        ask(url, conversation)
        assert "Oz" in text_of(Turns.made.last)
        assert "C0" not in text_of(Turns.made.last)


def test_thoughts_of_earlier_turns_stay_out(tmp_path: Path) -> None:
    """The format leaves them out from the next question on; what was sampled is no reason to read them again."""
    with weather_server(tmp_path, "glm47") as url:
        conversation = Chat(Rewriting())
        for _ in CITIES[:2]:
            conversation.go_on(ask(url, conversation), "Sunny.")
        ask(url, conversation)
        assert text_of(Turns.made.last).count("Hm.") == 3
        conversation.history.append({"role": "user", "content": "And then?"})
        for _ in CITIES[:2]:
            conversation.go_on(ask(url, conversation), "Sunny.")
        assert text_of(Turns.made.last).count("Hm.") == 2


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
    conversation = tool_loops.Chat(tool_loops.HABITS[-1], "Look at all pages.")
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
                conversation.go_on(answer, tool_loops.result(turn))
