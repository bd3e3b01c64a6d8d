"""What agents send is read once: long prompts that take turns, their next turns, and one whose client left."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from chatglm_server.decoding.backends import BACKENDS, BackendOptions
from chatglm_server.decoding.model import ScheduledSequence
from chatglm_server.decoding.model_runner import ModelRunner
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.model_file import ModelFile
from chatglm_server.settings import Settings
from tests.random_gguf import GLM4_0414, Shape, write_random_gguf
from tests.serving_here import serving
from tests.token_level import model_runner
from tests.toy_backend import ToyBackend, ToyModel

Json = dict[str, Any]
RULES = "You work on a project with care. Read before you write, and say what you have done. " * 40
NAMES = [f"{verb}_{noun}" for verb in ("read", "write", "find", "list") for noun in ("file", "page", "note", "task")]
PARAMETERS = {
    "type": "object",
    "properties": {"path": {"type": "string", "description": "Where it is, from the project's folder on."}},
    "required": ["path"],
}
QUESTION = "Where is the mistake?"


class Brief(ToyModel):
    """Says one word. A pass takes `pause_s`."""

    chunk = 64
    pause_s: ClassVar[float] = 0.0
    script_of: ClassVar[list[int]] = []
    made: ClassVar[Brief]

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size, self.script_of, slots=8)
        Brief.made = self

    def forward(self, batch: Sequence[ScheduledSequence]) -> Any:
        time.sleep(self.pause_s)
        return super().forward(batch)


class BriefBackend(ToyBackend):
    def load(self, file: ModelFile, options: BackendOptions, stopping: Callable[[], bool]) -> ModelRunner:
        return model_runner(Brief(file.spec.vocab_size))


@contextmanager
def brief_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setitem(BACKENDS, "brief", f"{__name__}:BriefBackend")
    shape = Shape(**{**GLM4_0414.__dict__, "context": 32768})
    path = write_random_gguf(folder / "model.gguf", shape, vocabulary="glm47")
    tokenizer = read_model_file(path).load_tokenizer(FORMATS["glm47"])
    monkeypatch.setattr(
        Brief,
        "script_of",
        [tokenizer.specials["</think>"], *tokenizer.encode_text("There."), tokenizer.specials["<|user|>"]],
    )
    settings = Settings(
        _env_file=None,
        model=str(path),
        engine="brief",
        chat_format="glm47",
        parallel=1,
        speculation="off",
        keep_alive_s=0.02,
    )
    with serving(settings) as (url, _):
        yield url


def claude_code(system: str, turn: int) -> tuple[str, Json]:
    """Its first block changes with every request, and so does the place of ``cache_control``."""
    mark: Json = {"cache_control": {"type": "ephemeral"}}
    billing = {"type": "text", "text": f"x-anthropic-billing-header: cc_version=2.1; cch={turn:05x};"}
    asked = {"type": "text", "text": QUESTION}
    messages: list[Json] = [{"role": "user", "content": [asked | (mark if turn == 1 else {})]}]
    messages.append({"role": "system", "content": "It is Saturday."})
    if turn > 1:
        messages.append({"role": "assistant", "content": [{"type": "text", "text": "There."}]})
        messages.append({"role": "user", "content": [{"type": "text", "text": "Sure?"} | mark]})
    tools = [{"name": name, "description": RULES[:300], "input_schema": PARAMETERS} for name in NAMES]
    body = {"model": "claude", "max_tokens": 32000, "system": [billing, {"type": "text", "text": system} | mark]}
    return "/v1/messages", body | {"messages": messages, "tools": tools}


def codex(system: str, turn: int) -> tuple[str, Json]:
    items: list[Json] = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}
        for text in (system, "Ask before you write.")
    ]
    items.append({"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]})
    if turn > 1:
        said = [{"type": "output_text", "text": "There.", "annotations": []}]
        items.append({"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": said})
        items.append({"role": "user", "content": "Sure?"})
    tools = [{"type": "function", "name": name, "description": RULES[:300], "parameters": PARAMETERS} for name in NAMES]
    return "/v1/responses", {"input": items, "tools": tools, "store": False, "prompt_cache_key": f"key {turn}"}


def opencode(system: str, turn: int) -> tuple[str, Json]:
    messages: list[Json] = [{"role": "system", "content": system}, {"role": "user", "content": QUESTION}]
    if turn > 1:
        messages += [{"role": "assistant", "content": "There."}, {"role": "user", "content": "Sure?"}]
    function = {"description": RULES[:300], "parameters": PARAMETERS}
    tools = [{"type": "function", "function": {"name": name, **function}} for name in NAMES]
    return "/v1/chat/completions", {"messages": messages, "tools": tools}


def read_by(url: str, request: tuple[str, Json]) -> int:
    """How many tokens the model reads for an answer, those of the answer among them."""
    Brief.made.read.clear()
    response = httpx.post(url + request[0], json=request[1], timeout=60)
    assert response.status_code == 200, response.text
    assert "There." in response.text
    return sum(Brief.made.read)


@pytest.mark.parametrize("agent", [claude_code, codex, opencode])
def test_prompts_that_take_turns_are_read_once(
    agent: Callable[[str, int], tuple[str, Json]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = (RULES, "Write a title. " + RULES, "Sum up. " + RULES)
    with brief_server(tmp_path, monkeypatch) as url:
        first, *others = (read_by(url, agent(system, 1)) for system in prompts)
        assert first > 11_000
        assert min(others) > 3_000, "all three have the tools"
        for most in (20, 10):  # what is new, and the answer; the second time the last token alone
            assert max(read_by(url, agent(system, 2)) for system in prompts) < most


def test_a_prompt_whose_client_left_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with brief_server(tmp_path, monkeypatch) as url:
        path, body = opencode(RULES, 1)
        monkeypatch.setattr(Brief, "pause_s", 0.03)
        with httpx.stream("POST", url + path, json=body | {"stream": True}, timeout=60) as response:
            next(line for line in response.iter_lines() if line.startswith(": reading a prompt"))
            time.sleep(0.3)
        while httpx.get(f"{url}/health").json()["queue"]["running"]:
            time.sleep(0.02)
        monkeypatch.setattr(Brief, "pause_s", 0.0)
        known = sum(Brief.made.read)
        assert 0 < known < 4_000
        answer = httpx.post(url + path, json=body, timeout=60).json()
        assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == known
        assert "There." in json.dumps(answer)
