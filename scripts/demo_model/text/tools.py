"""Made-up tools: a function as clients declare it, and questions that call for it with known arguments."""

# ruff: noqa: E501 - a bank reads best with one entry a line

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .draw import Draw
from .parameters import Parameter, Value, draw_parameters
from .words import ACTION_VERBS, HANZI, LOOKUP_VERBS, NOUNS, TOPICS, Language, Pair


@dataclass
class Ask:
    """A question and the call that answers it."""

    question: str
    name: str
    arguments: dict[str, Value]
    lang: Language


@dataclass
class Tool:
    """A tool with its declaration and all that is needed to ask for it.

    `templates` hold whole questions with a {slot} per mentioned parameter; without them questions are put together.
    """

    name: str
    verb: Pair
    topic: Pair
    action: bool
    parameters: list[Parameter]
    required: set[str]
    function: dict[str, Any]
    templates: dict[Language, Sequence[str]] = field(default_factory=dict)

    def ask(self, draw: Draw, lang: Language) -> Ask:
        """A question that calls for this tool; optional parameters may go unmentioned."""
        if self.templates:
            return self._ask_by_template(draw, lang)
        said = [p for p in self.parameters if p.words in self.required or draw.chance(0.6)]
        values = {id(p): p.say(draw, lang) for p in said}
        arguments = {p.name: values[id(p)][0] for p in self.parameters if id(p) in values}
        if draw.chance(0.05):
            draw.shuffle(said)
        build = _english if lang == "en" else _chinese
        spoken = [(p, values[id(p)][1]) for p in said]
        return Ask(build(draw, self, spoken), self.name, arguments, lang)

    def _ask_by_template(self, draw: Draw, lang: Language) -> Ask:
        template = draw.choice(self.templates[lang])
        values: dict[str, tuple[Value, str]] = {}
        for parameter in self.parameters:
            if "{" + parameter.words.replace(" ", "_") + "}" in template:
                values[parameter.words.replace(" ", "_")] = parameter.say(draw, lang)
        question = template.format(**{slot: spoken for slot, (_, spoken) in values.items()})
        by_words = {p.words.replace(" ", "_"): p.name for p in self.parameters}
        arguments = {by_words[slot]: value for slot, (value, _) in values.items()}
        return Ask(polish(draw, question, lang), self.name, arguments, lang)

    def follow_up(self, draw: Draw, last: Ask) -> Ask | None:
        """ "And in Oslo?" after a question with one string argument."""
        if len(last.arguments) != 1 or not isinstance(next(iter(last.arguments.values())), str):
            return None
        (name,) = last.arguments
        (parameter,) = [p for p in self.parameters if p.name == name]
        value, spoken = parameter.say(draw, last.lang)
        forms = {
            "en": (
                "And {v}?",
                "What about {v}?",
                "And for {v}?",
                "How about {v}?",
                "Now {v}.",
                "And now {v}",
                "the same for {v}",
            ),
            "zh": ("那{v}呢？", "{v}呢？", "换成{v}。", "{v}怎么样？", "再来一次，{v}", "那么{v}呢"),
        }
        return Ask(draw.choice(forms[last.lang]).format(v=spoken), last.name, {name: value}, last.lang)


def styled(words: str, style: str) -> str:
    """Words as an identifier."""
    parts = words.replace("-", " ").replace("'", "").split()
    if style == "camel":
        return parts[0].lower() + "".join(part.capitalize() for part in parts[1:])
    if style == "pascal":
        return "".join(part.capitalize() for part in parts)
    return {"snake": "_", "kebab": "-"}[style].join(part.lower() for part in parts)


def generic_tool(
    draw: Draw, topic: Pair | None = None, verb: Pair | None = None, asked_in: Language | None = None
) -> Tool:
    """A tool that no bank holds as a whole: a verb, a topic and up to three parameters.

    A topic that training cannot know in Chinese is described in Chinese if it is asked for in Chinese.
    """
    topic = topic or draw_topic(draw)
    verb = verb or draw.choice(LOOKUP_VERBS if draw.chance(0.5) else ACTION_VERBS)
    name_words = draw.choice([f"{verb[0]} {topic[0]}"] * 8 + [f"{topic[0]} {verb[0]}", topic[0]])
    parameters = draw_parameters(draw, draw.choices([0, 1, 2, 3], [8, 46, 33, 13])[0])
    required = {p.words for i, p in enumerate(parameters) if i == 0 or draw.chance(0.8)}
    style = draw.choices(["snake", "camel", "kebab"], [90, 7, 3])[0]
    known = topic in (*TOPICS, *NOUNS) and not draw.held_out
    chinese = 0.05 if asked_in == "en" else 0.7 if known or asked_in is None else 1.0
    about = _description(draw, verb, topic, parameters, chinese)
    return build_tool(draw, name_words, verb, topic, verb in ACTION_VERBS, parameters, required, about, style)


def draw_topic(draw: Draw) -> Pair:
    """Something tools are about: a word of the bank, two of them, or invented ones."""
    kind = draw.random()
    if kind < 0.25 and not draw.held_out:
        return draw.choice(TOPICS)
    if kind < 0.5:
        return draw.word(NOUNS)
    first, second = draw.pair(NOUNS)
    if draw.held_out:
        first = draw.word(NOUNS)
    elif kind < 0.7:
        first = (draw.syllables(), draw.hanzi(HANZI, 2, 2))
    return combined(*draw.sample([first, second], 2))


def combined(first: Pair, second: Pair) -> Pair:
    """Two words as one topic."""
    return f"{first[0]} {second[0]}", first[1] + second[1]


def build_tool(
    draw: Draw,
    name_words: str,
    verb: Pair,
    topic: Pair,
    action: bool,
    parameters: list[Parameter],
    required: set[str],
    about: str,
    style: str,
    templates: dict[Language, Sequence[str]] | None = None,
) -> Tool:
    """A tool and its declaration, in one of the shapes that clients send."""
    for parameter in parameters:
        parameter.name = styled(parameter.words, "camel" if style in ("camel", "pascal") else "snake")
    name = styled(name_words, style)
    function = declare(draw, name, about, parameters, required)
    return Tool(name, verb, topic, action, parameters, required, function, templates or {})


def declare(draw: Draw, name: str, about: str, parameters: Sequence[Parameter], required: set[str]) -> dict[str, Any]:
    """The bare function object: keys in several orders, with and without what is optional."""
    described = draw.chance(0.8)
    lang = int(any(char >= "\u4e00" for char in about))
    properties: dict[str, Any] = {}
    for parameter in parameters:
        schema: dict[str, Any] = dict(parameter.schema)
        if described:
            text = parameter.about[lang if draw.chance(0.9) else 1 - lang]
            schema = {"description": text, **schema} if draw.chance(0.1) else {**schema, "description": text}
        properties[parameter.name] = schema
    parts: list[tuple[str, Any]] = [("type", "object"), ("properties", properties)]
    names = [p.name for p in parameters if p.words in required]
    if (names and draw.chance(0.9)) or draw.chance(0.15):
        parts.append(("required", names))
    kind = draw.random()
    if kind < 0.12:  # as langchain-openai writes it
        parts = [*parts[1:], parts[0]]
    elif kind < 0.2:
        parts.append(("additionalProperties", False))
    items: list[tuple[str, Any]] = [("name", name)]
    if about:
        items.append(("description", about))
    if parameters or draw.chance(0.75):
        items.append(("parameters", dict(parts)))
    if kind >= 0.16 and kind < 0.2:
        items.append(("strict", True))
    return dict(items)


def _description(draw: Draw, verb: Pair, topic: Pair, parameters: Sequence[Parameter], chinese: float) -> str:
    if chinese < 1 and draw.chance(0.07):
        return ""
    if draw.chance(chinese):
        chinese_forms = (
            f"{verb[1]}{topic[1]}",
            f"{verb[1]}{topic[1]}。",
            f"用于{verb[1]}{topic[1]}的工具",
        )
        return draw.choice(chinese_forms)
    first, rest = verb[0], topic[0]
    forms = (
        f"{first} the {rest}", f"{first} the {rest}.", f"{first} a {rest}.", f"{first}s the {rest}", f"use this tool to {first} the {rest}.",
        f"{first} {rest} information", f"{first} the current {rest}",
    )  # fmt: skip
    text = draw.choice(forms)
    text = text[0].upper() + text[1:]
    if parameters and draw.chance(0.15):
        text += draw.choice([f" by {parameters[0].words}", f" for the given {parameters[0].words}."])
    return text


def article(noun: str) -> str:
    """ "a" or "an" with the noun."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _english(draw: Draw, tool: Tool, said: list[tuple[Parameter, str]]) -> str:
    verb, topic = tool.verb[0], tool.topic[0]
    if tool.action:
        forms: tuple[str, ...] = (
            f"{verb} {article(topic)}", f"{verb} the {topic}", f"please {verb} {article(topic)}", f"I want to {verb} {article(topic)}",
            f"can you {verb} the {topic}", f"could you please {verb} {article(topic)}", f"I need you to {verb} the {topic}",
            f"I would like to {verb} {article(topic)}", f"{verb} my {topic}", f"help me {verb} {article(topic)}",
        )  # fmt: skip
    else:
        forms = (
            f"what is the {topic}", f"what's the {topic}", f"show me the {topic}", f"{verb} the {topic}", f"tell me the {topic}",
            f"I need the {topic}", f"can you {verb} the {topic}", f"{topic}", f"how is the {topic}", f"please {verb} the {topic}",
            f"I want to know the {topic}", f"give me the {topic}", f"could you tell me the {topic}", f"{verb} {topic}", f"do you know the {topic}",
        )  # fmt: skip
    phrases = [parameter.phrase(draw, "en", spoken) for parameter, spoken in said]
    joined = ", ".join(phrases) if len(phrases) > 2 or draw.chance(0.15) else " ".join(phrases)
    question = f"{draw.choice(forms)} {joined}".strip()
    return polish(draw, question, "en")


def _chinese(draw: Draw, tool: Tool, said: list[tuple[Parameter, str]]) -> str:
    verb, topic = tool.verb[1], tool.topic[1]
    openers = ("请", "帮我", "请帮我", "我想", "", "麻烦", "能不能", "可以", "我要", "请你")
    prefix = ""
    clauses: list[str] = []
    for index, (parameter, spoken) in enumerate(said):
        if parameter.zh_prefix and index < 2 and not clauses and draw.chance(0.7):
            prefix += parameter.phrase(draw, "zh", spoken, prefix=True)
        else:
            clauses.append(parameter.phrase(draw, "zh", spoken))
    if tool.action or draw.chance(0.4):
        core = (
            draw.choice(openers) + verb + draw.choice(["", "", "一下", "一个" if tool.action else ""]) + prefix + topic
        )
    else:
        forms = ("{}怎么样", "{}是多少", "{}是什么", "我想知道{}", "查一下{}", "告诉我{}", "{}", "请问{}", "看看{}")
        core = draw.choice(forms).format(prefix + topic)
    return polish(draw, "，".join([core, *clauses]), "zh")


def polish(draw: Draw, question: str, lang: Language) -> str:
    """The ways people begin and end a message."""
    if lang == "zh":
        question = draw.choice(["", "", "", "", "你好，", "嗨，"]) + question
        return question if question[-1] in "？。！?!." else question + draw.choice(["？", "。", "", "", "，谢谢", "！"])
    start = draw.choice(["", "", "", "", "", "", "Hi, ", "Hello! ", "Please, ", "OK, ", "Hey, "])
    if question[-1] in "?.!":
        return start + _capital(draw, question)
    end = draw.choice(["", ".", "?", ".", "?", " please", ", please.", " please?", "!", ", thanks"])
    return start + _capital(draw, question) + end


def _capital(draw: Draw, text: str) -> str:
    return text[0].upper() + text[1:] if draw.chance(0.75) else text
