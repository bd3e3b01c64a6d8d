"""Whole conversations: tools or none, one to several turns, each with the answer that the model is to learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chatglm_server.chat import Message, ToolCall
from chatglm_server.chat import Tool as Declared

from . import smalltalk
from .classics import classic_tool
from .draw import Draw
from .results import result
from .tools import Ask, Tool, generic_tool
from .words import ACTION_VERBS, LOOKUP_VERBS, Language

# Topics that can be meant by the same question.
_GROUPS = (
    {"sum", "product", "difference", "quotient", "result"},
    {"alarm", "timer", "reminder", "calendar", "meeting", "event", "appointment"},
    {"email", "message", "newsletter"},
    {"converted", "currency", "exchange", "crypto"},
    {"time", "zone", "date", "sunrise", "schedule"},
    {"search", "news", "recipe", "joke", "dictionary", "map", "document"},
    {"order", "delivery", "package", "shipment"},
    {"light", "thermostat"},
    {"distance", "route", "map"},
    {"flight", "train", "bus"},
    {"weather", "air", "wind", "snow", "pollen"},
    {"translation", "dictionary", "synonym", "spelling"},
    {"stock", "gold", "fuel", "price"},
)
_SEARCHING = {"search", "news", "joke", "recipe", "poem", "dictionary"}

_SYSTEM: dict[Language, tuple[str, ...]] = {
    "en": (
        "You are a helpful assistant.",
        "You are a helpful assistant.",
        "You are a helpful AI assistant. Answer briefly.",
        "Be concise.",
        "You are a friendly bot that helps users with their questions.", "Answer in English.", "You are a weather bot.",
        "You are an expert. Use the tools when needed.",
        "Don't make assumptions about what values to plug into functions.",
        "You are ChatGLM3, a large language model. Follow the user's instructions carefully.", "Today is 2024-05-17.",
    ),
    "zh": (
        "你是一个有用的助手。", "你是一个乐于助人的助手。", "请用中文回答。", "请简短回答。", "必要时使用工具。",
        "你是客服机器人。",
    ),
}  # fmt: skip


@dataclass
class Conversation:
    """What a client has sent so far. It ends with the answer that is to be learned or measured."""

    tools: list[Declared] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    def add(self, role: Any, content: str) -> None:
        """Append a message of plain text."""
        self.messages.append(Message(role, content, tool_call_id="call_0" if role == "tool" else None))

    def add_call(self, ask: Ask) -> None:
        """Append the assistant's call."""
        self.messages.append(Message("assistant", "", (ToolCall("call_0", ask.name, dict(ask.arguments)),)))


def related(first: Tool, second: Tool) -> bool:
    """True if one question could be meant for either tool."""
    a, b = ({word.rstrip("s") for word in tool.topic[0].split()} for tool in (first, second))
    return bool(a & b) or any(a & group and b & group for group in _GROUPS)


Maker = Callable[[], Tool]


def any_tool(draw: Draw, lang: Language | None = None) -> Tool:
    """A classic now and then, mostly a made-up one; for measuring only made-up ones."""
    return classic_tool(draw) if not draw.held_out and draw.chance(0.4) else generic_tool(draw, asked_in=lang)


def tool_list(draw: Draw, first: Tool, count: int, lang: Language, make: Maker | None = None) -> list[Tool]:
    """`first` among `count - 1` others that its questions are not meant for, in any order."""
    tools = [first]
    if count > 1 and not first.templates and draw.chance(0.05):
        verbs = [verb for verb in ACTION_VERBS if verb != first.verb] if draw.chance(0.5) else LOOKUP_VERBS
        if first.action or verbs is not LOOKUP_VERBS:
            sibling = generic_tool(draw, first.topic, draw.choice(verbs), lang)
            tools += [sibling] if sibling.name != first.name else []
    while len(tools) < count:
        other = make() if make else any_tool(draw, lang)
        if not any(related(other, tool) or other.name == tool.name for tool in tools):
            tools.append(other)
    draw.shuffle(tools)
    return tools


def tool_count(draw: Draw) -> int:
    """How many tools a client offers."""
    return draw.choices([1, 2, 3, 4], [35, 30, 20, 15])[0]


def unrelated(draw: Draw, tools: list[Tool], lang: Language) -> str | None:
    """A question that none of the tools is for."""
    words = {word for tool in tools for word in tool.topic[0].split()}
    if not words & _SEARCHING and draw.chance(0.25):
        return smalltalk.beyond(draw, lang)
    for _ in range(5):
        other = any_tool(draw, lang)
        if not any(related(other, tool) for tool in tools) and not (words & _SEARCHING and not other.action):
            return other.ask(draw, lang).question
    return None


def small_turn(draw: Draw, lang: Language, memory: smalltalk.Memory, tools: list[Tool]) -> smalltalk.Turn:
    """A turn that needs no tool, whatever tools there are."""
    kind = draw.random()
    if kind < 0.2:
        return smalltalk.identity(draw, lang)
    if kind < 0.38:
        searching = any(set(tool.topic[0].split()) & _SEARCHING for tool in tools)
        return smalltalk.identity(draw, lang) if searching else smalltalk.fixed(draw, lang)
    if kind < 0.48:
        return smalltalk.repeat(draw, lang)
    if memory.values and kind < 0.8:
        return memory.recall(draw, lang)
    return memory.recall(draw, lang) if draw.chance(0.15) else memory.tell(draw, lang)


def conversation(draw: Draw, most_tools: int = 4, most_turns: int = 4) -> Conversation:
    """A conversation for training."""
    lang: Language = "zh" if draw.chance(0.42) else "en"
    made = Conversation()
    if draw.chance(0.12):
        made.add("system", draw.choice(_SYSTEM[lang]))
    turns = min(draw.choices([1, 2, 3, 4], [25, 35, 25, 15])[0], most_turns)
    memory = smalltalk.Memory()
    if draw.chance(0.17):
        for _ in range(turns + 1):
            _talk(draw, lang, memory, made)
        return made
    target = any_tool(draw, lang)
    tools = tool_list(draw, target, min(tool_count(draw), most_tools), lang)
    made.tools = [Declared(tool.function) for tool in tools]
    last: tuple[Tool, Ask] | None = None
    for _ in range(turns):
        last = _tool_turn(draw, lang, memory, made, tools, target, last)
        target = draw.choice(tools)
    return made


def _talk(draw: Draw, lang: Language, memory: smalltalk.Memory, made: Conversation) -> None:
    """A turn without tools."""
    kind = draw.random()
    if kind < 0.07:
        question, answer = smalltalk.beyond(draw, lang), smalltalk.UNKNOWN[lang]
    elif kind < 0.15:
        question, answer = any_tool(draw, lang).ask(draw, lang).question, smalltalk.NO_TOOL[lang]
        if "joke" in question.lower() or "笑话" in question:
            return
    else:
        question, answer = small_turn(draw, lang, memory, [])
    made.add("user", question)
    made.add("assistant", answer)


def _tool_turn(
    draw: Draw,
    lang: Language,
    memory: smalltalk.Memory,
    made: Conversation,
    tools: list[Tool],
    target: Tool,
    last: tuple[Tool, Ask] | None,
) -> tuple[Tool, Ask] | None:
    """A turn with tools at hand; returns the last call, for a follow-up."""
    kind = draw.random()
    if kind < 0.13:
        question, answer = small_turn(draw, lang, memory, tools)
        made.add("user", question)
        made.add("assistant", answer)
        return last
    if kind < 0.29 and (unfit := unrelated(draw, tools, lang)):
        made.add("user", unfit)
        made.add("assistant", smalltalk.NO_TOOL[lang])
        return None
    if kind < 0.36 and last and (again := last[0].follow_up(draw, last[1])):
        made.add("user", again.question)
        call_and_answer(draw, made, last[0], again)
        return last[0], again
    ask = target.ask(draw, lang)
    made.add("user", ask.question)
    call_and_answer(draw, made, target, ask)
    return target, ask


def call_and_answer(draw: Draw, made: Conversation, tool: Tool, ask: Ask) -> None:
    """A call, what it returned, and the answer."""
    made.add_call(ask)
    output, answer, _ = result(draw, tool, ask)
    made.add("tool", output)
    made.add("assistant", answer)
