"""A backend that is one class and one line of the table, behind the real engine, scheduler and sampler."""

from __future__ import annotations

import asyncio
import string
from pathlib import Path

import pytest
from chatglm_bin_writer import ModelType

from chatglm_server.answer import Answer
from chatglm_server.chat import ChatRequest, Event, Finish, Message, Tool, ToolChoice
from chatglm_server.decoding.backends import BACKENDS
from chatglm_server.engine.capabilities import LOGITS, Capability
from chatglm_server.engine.local import LocalEngine
from chatglm_server.formats.registry import FORMATS
from chatglm_server.loader import load_local_engine
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.tokenizer import Tokenizer
from chatglm_server.sampling import Sampling
from chatglm_server.settings import Settings
from tests.random_models import write_random_model
from tests.toy_backend import ToyBackend

GREEDY = Sampling(temperature=0.0, max_tokens=200)
TOOL = Tool({"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}})


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "toy", "tests.toy_backend:ToyBackend")


def tokenizer_of(path: Path) -> Tokenizer:
    file = read_model_file(path)
    return file.load_tokenizer(FORMATS[file.chat_format])


def engine(path: Path, script: list[int], monkeypatch: pytest.MonkeyPatch, chat_format: str = "auto") -> LocalEngine:
    monkeypatch.setattr(ToyBackend, "script", script)
    settings = Settings(_env_file=None, model=str(path), engine="toy", chat_format=chat_format, parallel=3)
    return load_local_engine(settings)


def answered(one: LocalEngine, request: ChatRequest) -> list[Event]:
    async def collect() -> list[Event]:
        await one.load()
        return [event async for event in one.chat(request)]

    return asyncio.run(asyncio.wait_for(collect(), 60))


def finish(events: list[Event]) -> Finish:
    (last,) = (event for event in events if isinstance(event, Finish))
    return last


def test_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_random_model(tmp_path / "model.bin")
    tokenizer = tokenizer_of(path)
    script = [*tokenizer.encode_text("the weather is a toy"), tokenizer.specials["<|user|>"]]
    toy = engine(path, script, monkeypatch)
    assert toy.info.capabilities == LOGITS | {Capability.CONTINUE}
    assert toy.info.choices == 3
    events = answered(toy, ChatRequest((Message("user", "hello"),), sampling=GREEDY))
    assert Answer.of(events[1:]).content == "the weather is a toy"
    assert finish(events).reason == "stop"
    assert finish(events).usage.completion_tokens == len(script)
    assert finish(events).usage.reasoning_tokens is None


def test_a_call_can_be_forced_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its opening is forced, and what the model says after it is read as the call."""
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM4, max_length=1024)
    tokenizer = tokenizer_of(path)
    script = [*tokenizer.encode_text('{"city": "Rome"}'), tokenizer.specials["<|observation|>"]]
    toy = engine(path, script, monkeypatch)
    request = ChatRequest((Message("user", "hi"),), (TOOL,), ToolChoice("required"), sampling=GREEDY)
    events = answered(toy, request)
    (call,) = Answer.of(events[1:]).tool_calls
    assert (call.name, call.arguments) == ("get_weather", '{"city": "Rome"}')
    assert finish(events).reason == "tool_calls"


@pytest.mark.parametrize(
    ("said", "tools", "drafted"), [("{0}", (), True), ("{0!r}", (TOOL,), True), ("{0!r}", (), False)]
)
def test_a_numbered_file_is_drafted_without_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, tools: tuple[Tool, ...], drafted: bool
) -> None:
    """As it was, and with escapes if it may be in a call. No three tokens of it follow each other in the prompt."""
    lines = [f"{letter}\n" for letter in string.ascii_lowercase]
    numbered = "".join(f"{number}\t{line}" for number, line in enumerate(lines, 1))
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM4, max_length=2048)
    tokenizer = tokenizer_of(path)
    script = [*tokenizer.encode_text(said.format("".join(lines))), tokenizer.specials["<|user|>"]]
    toy = engine(path, script, monkeypatch)
    usage = finish(answered(toy, ChatRequest((Message("user", numbered),), tools, sampling=GREEDY))).usage
    assert usage.completion_tokens == len(script)
    assert bool(usage.accepted_tokens) == drafted


@pytest.mark.parametrize(
    ("thought", "answer"), [("the sum is 4\n</think>", "\n\nfour"), ("</think>", "four"), ("never ends", "")]
)
def test_tokens_of_thoughts_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, thought: str, answer: str
) -> None:
    """GLM-Z1's prompt ends inside a thought. Its end mark, which several tokens make, is part of it."""
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM4)
    tokenizer = tokenizer_of(path)
    inside, outside = tokenizer.encode_text(thought), tokenizer.encode_text(answer)
    script = [*inside, *outside, tokenizer.specials["<|user|>"]]
    toy = engine(path, script, monkeypatch, chat_format="glm-z1")
    events = answered(toy, ChatRequest((Message("user", "hi"),), sampling=GREEDY))
    assert Answer.of(events[1:]).content == answer.strip()
    usage = finish(events).usage
    assert (usage.reasoning_tokens, usage.completion_tokens) == (len(inside), len(script))


def test_an_unknown_file_says_which_backends_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ToyBackend, "obstacle", lambda self, file: "it has weights")
    path = write_random_model(tmp_path / "model.bin")
    with pytest.raises(Exception, match="the toy backend cannot run it: it has weights; try --engine auto"):
        engine(path, [1], monkeypatch)
