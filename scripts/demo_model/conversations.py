"""Whole conversations: tools or none, one to several turns, each with the answer that the model is to learn."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chatglm_server.chat import Message, ToolCall
from chatglm_server.chat import Tool as Declared

from . import smalltalk
from .classics import classic_tool
from .draw import Draw
from .parameters import Language
from .results import result
from .tools import Ask, Tool, generic_tool
from .words import ACTION_VERBS, LOOKUP_VERBS

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
    """Whether one question could be meant for either tool."""
    a, b = ({word.rstrip("s") for word in tool.topic[0].split()} for tool in (first, second))
    return bool(a & b) or any(a & group and b & group for group in _GROUPS)


def any_tool(draw: Draw, lang: Language | None = None) -> Tool:
    """A classic now and then, mostly a made-up one; for measuring only made-up ones."""
    return classic_tool(draw) if not draw.held_out and draw.chance(0.4) else generic_tool(draw, asked_in=lang)


def tool_list(draw: Draw, first: Tool, count: int, lang: Language | None = None) -> list[Tool]:
    """`first` among `count - 1` others that its questions are not meant for, in any order."""
    tools = [first]
    if count > 1 and not first.templates and draw.chance(0.15):
        same = {first.verb}
        verb = draw.choice([pair for pair in ACTION_VERBS if pair not in same])
        if not first.action or draw.chance(0.5):
            tools.append(generic_tool(draw, first.topic, verb, lang))
        else:
            tools.append(generic_tool(draw, first.topic, draw.choice(LOOKUP_VERBS), lang))
    while len(tools) < count:
        other = any_tool(draw, lang)
        if not any(related(other, tool) or other.name == tool.name for tool in tools):
            tools.append(other)
    draw.shuffle(tools)
    return tools


def tool_count(draw: Draw) -> int:
    """How many tools a client offers."""
    return draw.choices([1, 2, 3, 4, 5, 8], [42, 26, 16, 9, 6, 1])[0]


def unrelated(draw: Draw, tools: list[Tool], lang: Language) -> str | None:
    """A question that none of the tools is for."""
    words = {word for tool in tools for word in tool.topic[0].split()}
    if not words & _SEARCHING and draw.chance(0.25):
        return smalltalk.beyond(draw, lang)
    for _ in range(5):
        other = any_tool(draw)
        if not any(related(other, tool) for tool in tools) and not (words & _SEARCHING and not other.action):
            return other.ask(draw, lang).question
    return None


def small_turn(draw: Draw, lang: Language, memory: smalltalk.Memory, tools: list[Tool]) -> smalltalk.Turn:
    """A turn that needs no tool, whatever tools there are."""
    kind = draw.random()
    if kind < 0.3:
        return smalltalk.identity(draw, lang)
    if kind < 0.5:
        searching = any(set(tool.topic[0].split()) & _SEARCHING for tool in tools)
        return smalltalk.identity(draw, lang) if searching else smalltalk.fixed(draw, lang)
    if kind < 0.65:
        return smalltalk.repeat(draw, lang)
    if memory.values and kind < 0.85:
        return memory.recall(draw, lang)
    return memory.recall(draw, lang) if draw.chance(0.15) else memory.tell(draw, lang)


def conversation(draw: Draw, most_tools: int = 8) -> Conversation:
    """A conversation for training."""
    lang: Language = "zh" if draw.chance(0.45) else "en"
    made = Conversation()
    if draw.chance(0.15):
        made.add("system", draw.choice(_SYSTEM[lang]))
    turns = draw.choices([1, 2, 3, 4, 6], [30, 30, 22, 12, 6])[0]
    memory = smalltalk.Memory()
    if draw.chance(0.2):
        for _ in range(turns + 1):
            _talk(draw, lang, memory, made)
        return made
    target = any_tool(draw, lang)
    tools = tool_list(draw, target, min(tool_count(draw), most_tools), lang)
    made.tools = [Declared(tool.function) for tool in tools]
    last: tuple[Tool, Ask] | None = None
    for _ in range(turns):
        if draw.chance(0.02):
            lang = "en" if lang == "zh" else "zh"
        last = _tool_turn(draw, lang, memory, made, tools, target, last)
        target = draw.choice(tools)
    return made


def _talk(draw: Draw, lang: Language, memory: smalltalk.Memory, made: Conversation) -> None:
    """A turn without tools."""
    kind = draw.random()
    if kind < 0.07:
        question, answer = smalltalk.beyond(draw, lang), smalltalk.UNKNOWN[lang]
    elif kind < 0.15:
        question, answer = any_tool(draw).ask(draw, lang).question, smalltalk.NO_TOOL[lang]
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
    if kind < 0.41 and _missing(draw, lang, made, target):
        return None
    if kind < 0.46 and (pair := two_at_once(draw, lang, target)):
        question, asks = pair
        made.add("user", question)
        answers = [call_and_result(draw, made, target, ask) for ask in asks]
        made.add("assistant", " ".join(answers))
        return target, asks[-1]
    ask = target.ask(draw, lang)
    made.add("user", ask.question)
    call_and_answer(draw, made, target, ask)
    return target, ask


def call_and_result(draw: Draw, made: Conversation, tool: Tool, ask: Ask) -> str:
    """A call and what it returned; the answer is for the caller to add."""
    made.add_call(ask)
    output, answer, _ = result(draw, tool, ask)
    made.add("tool", output)
    return answer


def call_and_answer(draw: Draw, made: Conversation, tool: Tool, ask: Ask) -> None:
    """A call, what it returned, and the answer."""
    made.add("assistant", call_and_result(draw, made, tool, ask))


def two_at_once(draw: Draw, lang: Language, tool: Tool) -> tuple[str, list[Ask]] | None:
    """One question that takes two calls of a tool with one argument, which is a name."""
    first = tool.ask(draw, lang)
    if len(first.arguments) != 1 or len(tool.parameters) != 1 or tool.parameters[0].schema.get("type") != "string":
        return None
    ((name, value),) = first.arguments.items()
    if (
        not isinstance(value, str)
        or first.question.count(value) != 1
        or " and " in value
        or "和" in value
        or '"' in first.question
        or "'" in first.question
    ):
        return None
    other, spoken = tool.parameters[0].say(draw, lang)
    if other == value or not isinstance(other, str) or other != spoken:
        return None
    joined = f"{value} and {other}" if lang == "en" else f"{value}和{other}"
    question = first.question.replace(value, joined)
    return question, [Ask(question, tool.name, {name: value}, lang), Ask(question, tool.name, {name: other}, lang)]


def _missing(draw: Draw, lang: Language, made: Conversation, tool: Tool) -> bool:
    """The question leaves out what the tool requires; the model asks for it, the user tells it."""
    declared = tool.function.get("parameters", {}).get("required", [])
    needed = [
        p for p in tool.parameters if p.name in declared and p.schema.get("type") == "string" and "enum" not in p.schema
    ]
    if tool.templates or not needed:
        return False
    left_out = draw.choice(needed)
    ask = tool.ask(draw, lang, without=left_out)
    made.add("user", ask.question)
    made.add("assistant", f"Please tell me the {left_out.words}." if lang == "en" else f"请告诉我 {left_out.words}。")
    value, spoken = left_out.say(draw, lang)
    forms = (
        ("{v}", "{v}", "It is {v}.", "{n}: {v}", "{v}, please") if lang == "en" else ("{v}", "{v}", "是{v}", "{n}：{v}")
    )
    made.add("user", draw.choice(forms).format(v=spoken, n=left_out.words))
    arguments = {**ask.arguments, left_out.name: value}
    ordered = {p.name: arguments[p.name] for p in tool.parameters if p.name in arguments}
    call_and_answer(draw, made, tool, Ask(ask.question, tool.name, ordered, lang))
    return True
