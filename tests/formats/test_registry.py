"""The table of formats: which models speak which, and what a new one takes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from chatglm_server.answer import Answer
from chatglm_server.chat import (
    ChatRequest,
    FinishReason,
    Message,
    ParserEvent,
    TextDelta,
    Thinking,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    new_call_id,
)
from chatglm_server.cli.format_commands import parse_line, render_line
from chatglm_server.formats.base import OutputParser, Piece, Prompt, ThinkingSupport
from chatglm_server.formats.registry import FORMATS, format_of_model
from chatglm_server.loader import load_engine
from chatglm_server.settings import Settings

NAMES: dict[str | None, list[str]] = {
    "chatglm": ["THUDM/chatglm-6b", "chatglm-6b-int4"],
    "chatglm2": ["chatglm2-6b-32k", "ChatGLM2"],
    "chatglm3": ["THUDM/chatglm3-6b", "chatglm3-6b-128k", "chatglm3:6b-q4_0", "chatglm_3"],
    "glm4": ["THUDM/glm-4-9b-chat", "glm4:9b-chat-q4_K_M", "glm-4-plus", "glm-4-0520", "GLM-4V-9B", "glm-4.1v-9b"],
    "glm4-0414": ["THUDM/GLM-4-32B-0414", "glm-4-9b-0414:Q4_K_M", "THUDM_GLM-4-9B-0414-GGUF", "glm4:9b-0414"],
    "glm-z1": ["GLM-Z1-9B-0414", "glm-z1-air", "GLM-4-Z1-9B-0414", "glm-z1-rumination-32b-0414"],
    "glm45": ["zai-org/GLM-4.5", "glm-4.5-air", "GLM-4.5-Air-106B-A12B", "z-ai/glm-4-6", "glm-4.6", "glm4.6:cloud"],
    "glm47": ["glm-4.7", "GLM-4.7-Flash-31B", "glm-4p7", "glm-5", "GLM-5.1", "glm-5-744b-a40b", "my-glm", "glm-10b"],
    "glm52": ["glm-5.2", "GLM-5.3-Flash", "glm-6"],
    None: ["gpt-4o", "qwen3-8b", "llama-3.1-8b", "", "gl-m"],
}
"""Models as they are published, and as other servers call them, by their format."""


@pytest.mark.parametrize(("name", "expected"), [(name, key) for key, names in NAMES.items() for name in names])
def test_format_of_model(name: str, expected: str | None) -> None:
    assert format_of_model(name) == expected


def test_every_format_is_the_format_of_some_model() -> None:
    assert {format_of_model(name) for names in NAMES.values() for name in names} - {None} == set(FORMATS)


class ShoutFormat:
    """A generation that does not exist: it writes messages in capitals, and its calls as ``!NAME {json}``."""

    name: ClassVar[str] = "shout"
    supports_tools: ClassVar[bool] = True
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport()
    special_tokens: ClassVar[tuple[str, ...]] = ("<over>",)
    stop_tokens: ClassVar[tuple[str, ...]] = ("<over>",)

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        return Prompt(tuple(message.content.upper() for message in messages))

    def bare_prompt(self, text: str) -> Prompt:
        return Prompt((text,))

    def parser(
        self, tools: Sequence[Tool] | None = (), *, prompt_ends_in_think: bool = False, exact: bool = False
    ) -> OutputParser:
        return ShoutParser()

    def answer_lead(self, prompt: Prompt) -> str:
        return 'lead: ""\n'

    def call_beginning(self, tools: Sequence[Tool], strict: Collection[str], prompt: Prompt) -> None:
        return None

    def call_grammar(self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> None:
        return None

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        return (f"!{name} ",)


class ShoutParser:
    def __init__(self) -> None:
        self._text = ""

    def feed(self, piece: Piece) -> list[ParserEvent]:
        self._text += piece if isinstance(piece, str) else ""
        return []

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        if not self._text.startswith("!"):
            return [TextDelta(self._text)]
        name, _, arguments = self._text[1:].partition(" ")
        return [ToolCallStart(0, new_call_id(), name), ToolCallDelta(0, arguments)]


def test_a_new_format_is_one_class_and_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Options, recordings, commands and the engine all find it in the table."""
    monkeypatch.setitem(FORMATS, "shout", ShoutFormat())
    path = tmp_path / "recorded.jsonl"
    path.write_text('{"raw": "!look {}<over>", "chunk_size": 2}')
    engine = load_engine(Settings(_env_file=None, model=f"replay:{path}", chat_format="shout"))
    assert engine.info.chat_format == "shout"

    async def answer() -> Answer:
        request = ChatRequest((Message("user", "Look!"),), (Tool({"name": "look"}),))
        return Answer.of([event async for event in engine.chat(request)])

    folded = asyncio.run(answer())
    assert [(call.name, call.arguments) for call in folded.tool_calls] == [("look", "{}")]
    assert folded.finished().reason == "tool_calls"
    assert folded.finished().usage.prompt_tokens == len("LOOK!")
    assert parse_line({"format": "shout", "raw": "!look {}"})["tool_calls"]
    assert render_line({"format": "shout", "messages": [{"role": "user", "content": "Look!"}]}) == {"prompt": "LOOK!"}
