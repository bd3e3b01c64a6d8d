"""Measures a finished file with the real engine, greedily, on tools, names and values that training never drew."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from chatglm_server.answer import Answer
from chatglm_server.chat import Message
from chatglm_server.chat import Tool as Declared
from chatglm_server.decoding.constraints.base import Constraint
from chatglm_server.decoding.constraints.grammars import Grammars
from chatglm_server.decoding.constraints.triggered import TriggeredGrammar
from chatglm_server.engine.call_constraints import CallConstraints
from chatglm_server.model_files.tokenizer import Detokenizer

from .engine import Runner
from .sequences import Codec
from .text import smalltalk
from .text.classics import classic_tool
from .text.conversations import Conversation, Maker, small_turn, tool_count, tool_list, unrelated
from .text.draw import Draw
from .text.first_questions import FIRST_QUESTIONS
from .text.parameters import Value
from .text.results import result
from .text.tools import Tool, combined, generic_tool
from .text.words import NOUNS, Language

LANGUAGES: tuple[Language, Language] = ("en", "zh")


@dataclass
class Case:
    """A conversation to be answered: by this call, or by text that holds these values."""

    kind: str
    lang: Language
    conversation: Conversation
    call: tuple[str, dict[str, Value]] | None = None
    values: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """How many answers were right, of how many; `name` counts right names among calls."""

    cases: int = 0
    right: int = 0
    name: int = 0

    def add(self, right: bool, name: bool) -> None:
        """Count one answer. Mutates the tally."""
        self.cases += 1
        self.right += right
        self.name += name


Tallies = dict[tuple[str, Language], Tally]


def new_words_call(draw: Draw, lang: Language) -> Case:
    """A made-up tool whose topic has words that training does not know, among others of the kind."""
    return _call(draw, lang, "new words", generic_tool(draw, asked_in=lang))


def unseen_call(draw: Draw, lang: Language) -> Case:
    """A made-up tool that training has not seen, of words that it knows, among others of the kind."""
    known = Draw(draw.getrandbits(32))

    def make() -> Tool:
        return generic_tool(known, combined(*draw.pair(NOUNS)), asked_in=lang)

    return _call(draw, lang, "call", make(), make)


def classic_call(draw: Draw, lang: Language) -> Case:
    """A well-known tool (training has seen its kind) with held-out values, among others of the kind."""
    return _call(draw, lang, "classic", classic_tool(draw), lambda: classic_tool(draw))


def _call(draw: Draw, lang: Language, kind: str, tool: Tool, make: Maker | None = None) -> Case:
    tools = tool_list(draw, tool, tool_count(draw), lang, make)
    ask = tool.ask(draw, lang)
    made = Conversation([Declared(t.function) for t in tools])
    made.add("user", ask.question)
    return Case(kind, lang, made, (ask.name, ask.arguments))


def no_call(draw: Draw, lang: Language) -> Case:
    """Small talk, or a question that none of the tools is for."""
    tools = tool_list(draw, generic_tool(draw, asked_in=lang), tool_count(draw), lang)
    question = unrelated(draw, tools, lang) if draw.chance(0.6) else None
    made = Conversation([Declared(t.function) for t in tools])
    made.add("user", question or small_turn(draw, lang, smalltalk.Memory(), tools)[0])
    return Case("refusal", lang, made)


def observation(draw: Draw, lang: Language) -> Case:
    """A question, its call and the result; the answer has to hold the result's values."""
    while True:
        tool = generic_tool(draw, asked_in=lang)
        ask = tool.ask(draw, lang)
        made = Conversation([Declared(tool.function)])
        made.add("user", ask.question)
        made.add_call(ask)
        output, _, values = result(draw, tool, ask)
        made.add("tool", output)
        if values:
            return Case("observation", lang, made, values=values)


def context(draw: Draw, lang: Language) -> Case:
    """A fact is told, other turns follow, the fact is asked for."""
    memory, made = smalltalk.Memory(), Conversation()
    turns = [memory.tell(draw, lang)]
    turns += [smalltalk.identity(draw, lang) for _ in range(draw.randint(0, 2))]
    for question, answer in turns:
        made.add("user", question)
        made.add("assistant", answer)
    (fact,) = (fact for fact in smalltalk.FACTS if fact.key in memory.values)
    made.add("user", smalltalk.dressed(draw, draw.choice(fact.asked[lang].split("|")), lang, True))
    return Case("context", lang, made, values=[memory.values[fact.key]])


MAKERS: dict[str, Callable[[Draw, Language], Case]] = {
    "call": unseen_call, "new words": new_words_call, "classic": classic_call,
    "refusal": no_call, "observation": observation, "context": context,
}  # fmt: skip


def cases(seed: int, count: int) -> Iterator[Case]:
    """The questions written by hand, and `count` cases of every kind, half of them in each language."""
    for lang, functions, question, call in FIRST_QUESTIONS:
        made = Conversation([Declared(function) for function in functions])
        made.add("user", question)
        yield Case("first", lang, made, call)
    draw = Draw(seed, held_out=True)
    for make in MAKERS.values():
        for index in range(count):
            yield make(draw, LANGUAGES[index % 2])


def answer(runner: Runner, codec: Codec, conversation: Conversation, calls: CallConstraints | None = None) -> Answer:
    """The model's answer as the server would read it; its calls are held to their tools by `calls`."""
    parser = codec.format.parser(conversation.tools)
    events: list[Any] = []
    detokenizer = Detokenizer(codec.tokenizer)
    constraint = _constraint(codec, conversation, calls)
    tokens = runner.generate(codec.prompt(conversation), constraint=constraint)
    pieces = [piece for token in tokens for piece in detokenizer.feed(token)]
    for piece in (*pieces, *detokenizer.flush()):
        events += parser.feed(piece)
    return Answer.of(events + parser.flush("stop"))


def _constraint(codec: Codec, conversation: Conversation, calls: CallConstraints | None) -> Constraint | None:
    if calls is None or not conversation.tools:
        return None
    prompt = codec.format.render(conversation.messages, conversation.tools)
    held = calls.held(conversation.tools, {}, prompt)
    return None if held is None else TriggeredGrammar(held.trigger)


def call_constraints(runner: Runner, codec: Codec) -> CallConstraints:
    """What holds calls as a server with ``--tool-grammar auto`` holds them."""
    grammars = Grammars(codec.tokenizer, runner.stops, runner.vocab_size)
    return CallConstraints(grammars, codec.format, codec.tokenizer, strict=False)


def judge(case: Case, got: Answer) -> tuple[bool, bool]:
    """Two verdicts: the answer is right; at least the tool's name is (or no call was begun, if none is wanted)."""
    if case.call is None:
        names = [tool.name for tool in case.conversation.tools]
        # A call that the format cannot read comes out as text, and is no answer either.
        quiet = not got.tool_calls and got.content.lstrip().partition("\n")[0].strip() not in names
        return quiet and all(value in got.content for value in case.values) and bool(got.content.strip()), quiet
    name, arguments = case.call
    if len(got.tool_calls) != 1 or got.tool_calls[0].name != name:
        return False, False
    try:
        return json.loads(got.tool_calls[0].arguments) == arguments, True
    except ValueError:
        return False, True


def measure(runner: Runner, codec: Codec, seed: int, count: int, show: int = 0, *, held: bool = False) -> Tallies:
    """Runs all cases; prints up to `show` wrong answers of each kind. `held`: calls are held to their tools, and only
    cases with tools are run.
    """
    tallies: Tallies = {}
    shown: dict[str, int] = {}
    constraints = call_constraints(runner, codec) if held else None
    for case in cases(seed, count):
        if held and (not case.conversation.tools or case.kind == "observation"):
            continue
        got = answer(runner, codec, case.conversation, constraints)
        right, name = judge(case, got)
        tallies.setdefault((case.kind, case.lang), Tally()).add(right, name)
        if not right and shown.setdefault(case.kind, 0) < show:
            shown[case.kind] += 1
            last: Message = case.conversation.messages[-1]
            calls = [(call.name, call.arguments) for call in got.tool_calls]
            print(f"{case.kind}: {last.content!r}\n   wanted {case.call or case.values}")
            print(f"   got {calls or repr(got.content)}", flush=True)
    return tallies
