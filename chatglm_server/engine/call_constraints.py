"""Constraints that keep the calls of an answer to the tools' schemas."""

from __future__ import annotations

import asyncio
import marshal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, TypeVar

from ..chat import Tool
from ..decoding.constraints.grammars import Grammar, GrammarError, Grammars
from ..decoding.constraints.triggered import Beginning, GrammarOf, TextTrigger, TokenTrigger, Trigger
from ..errors import InvalidRequest
from ..formats.base import ChatFormat, Prompt
from ..formats.call_grammar import CallBeginning, CallGrammar, CallsAfterToken
from ..formats.values.input_forms import check_form
from ..formats.values.json_schema import SchemaError
from ..formats.values.lark import alternatives
from ..formats.values.text_grammar import NOTHING_FORCED, TextGrammarError
from ..log_once import log_once
from ..model_files.tokenizer import Tokenizer
from ..recent import Recent
from .example_calls import example_answer, example_call, walk

Calls = TypeVar("Calls")
_KEPT_BYTES = 2_000_000  # of tools and the grammars of their calls
_MOST_SECONDS = 1.0  # of processor time, for the examples of a request's tools
_LARGE = 8_000  # characters of a grammar that is not compiled between two tokens: it would take more than 5 ms


@dataclass(frozen=True, slots=True)
class HeldCalls:
    """What finds the beginnings of calls in the tokens of an answer, and holds them from there on."""

    beginning: CallBeginning
    trigger: Trigger
    grammar: Callable[[], CallGrammar | None]
    """Writes the grammar of all calls."""
    compile_all: Callable[[], None]
    """Compiles the grammars of all tools, so that no call has to wait for its own, and walks an example of each."""

    def first(self, lead: str, answer: str) -> str:
        """A Lark expression for an answer that is a call, or `answer`, behind `lead`."""
        grammar = self.grammar()
        return f"{lead} {answer}" if grammar is None else self.beginning.first(lead, answer, grammar.text)


class LateTrigger:
    """The trigger of calls whose grammar is still being made."""

    def __init__(self, making: asyncio.Task[HeldCalls | None]) -> None:
        self._making = making

    @property
    def ready(self) -> bool:
        return self._making.done()

    def find(self, tokens: Sequence[int]) -> Beginning | None:
        """Raises: whatever kept the grammar from being made."""
        held = self._making.result()
        return None if held is None else held.trigger.find(tokens)


@dataclass(frozen=True, slots=True)
class _Written:
    """How the calls of `tools` begin, and the grammars of each tool's calls, which can be compiled."""

    beginning: CallBeginning
    tools: Sequence[Tool]
    strict: Collection[str]
    loose: Collection[str]
    grammars: Mapping[str, CallGrammar]


@dataclass(frozen=True, slots=True)
class _Kept(Generic[Calls]):
    """What is known of some tools' calls; None if they are free."""

    calls: Calls | None


class CallConstraints:
    """Makes the grammars of a model's calls. `strict`: the schemas of all tools are binding."""

    def __init__(self, grammars: Grammars, chat_format: ChatFormat, tokenizer: Tokenizer, *, strict: bool) -> None:
        self._grammars = grammars
        self._format = chat_format
        self._tokenizer = tokenizer
        self._strict = strict
        self._written: Recent[bytes, _Kept[_Written]] = Recent(_KEPT_BYTES)
        self._texts: Recent[bytes, _Kept[CallGrammar]] = Recent(_KEPT_BYTES)

    def binding(self, tools: Sequence[Tool]) -> set[str]:
        """The names of those `tools` whose schemas or input forms are binding. A request with none is never refused."""
        return {
            tool.name
            for tool in tools
            if self._strict or tool.function.get("strict") is True or tool.input_form is not None
        }

    def held(self, tools: Sequence[Tool], places: Mapping[str, int], prompt: Prompt) -> HeldCalls | None:
        """What holds calls of `tools` in an answer to `prompt`; None if calls are free.

        A tool's grammar is written once, as long as it is kept, and compiled when the tool is called, if `compile_all`
        has not been there before. It can be compiled, because what comes from clients' schemas as it is has been
        compiled by itself.

        Where a schema has no grammar, the values of its own tool may have any type, unless the schema is binding.
        `places` are the tools' numbers in the request. Any thread may ask.

        Raises: InvalidRequest for a binding schema that cannot be honoured.
        """
        key = _key(tools, prompt.ends_in_think)
        written = self._written.get(key)
        if written is None:
            written = _Kept(self._write(tools, places, prompt))
            texts = written.calls.grammars.values() if written.calls else ()
            self._written.keep(key, written, len(key) + sum(len(grammar.text) for grammar in texts))
        return None if written.calls is None else self._held(written.calls)

    def _held(self, calls: _Written) -> HeldCalls:
        self._grammars.prepare()

        def grammar_of(name: str) -> Grammar:
            return self._grammars.compile(calls.grammars[name].text)

        trigger = self._trigger(calls.beginning, grammar_of)
        write = partial(self._call_grammar, calls.tools, calls.strict, calls.loose)
        return HeldCalls(calls.beginning, trigger, write, partial(self._compile_all, calls, trigger, grammar_of))

    def _compile_all(self, calls: _Written, trigger: Trigger, grammar_of: GrammarOf) -> None:
        """Compile the grammars of all tools, then walk an example of each, once as long as its grammar is kept.

        A call of a tool whose grammar cannot be compiled ends its answer with the same error.
        """
        unknown = []
        for tool in calls.tools:
            try:
                if tool.name in calls.grammars and not grammar_of(tool.name).walked:
                    unknown.append(tool)
            except GrammarError as error:
                log_once(f"calls of {tool.name[:64]!r} will fail: {error}")
        end = time.thread_time() + _MOST_SECONDS
        for tool in unknown:
            if time.thread_time() > end:
                break
            walk(example_answer(example_call(tool), self._format, self._tokenizer), trigger, self._grammars)
            grammar_of(tool.name).walked = True

    def _write(self, tools: Sequence[Tool], places: Mapping[str, int], prompt: Prompt) -> _Written | None:
        """Grammars that can be compiled. Raises: InvalidRequest."""
        strict = self.binding(tools)
        tools = [self._with_held_input(tool, places) for tool in tools]
        beginning = self._format.call_beginning(tools, strict, prompt)
        if beginning is None:
            return None
        try:
            written, loose = self._checked(tools, strict, ()), set[str]()
        except (SchemaError, GrammarError):
            loose = self._without_grammar(tools, strict, places)
            try:
                written = self._checked(tools, strict, loose)
            except (SchemaError, GrammarError) as error:
                if strict:
                    raise InvalidRequest(
                        f"the tools' schemas cannot be honoured together: {error}", param="tools"
                    ) from None
                log_once(f"calls are not held to the tools' schemas: {error}")
                return None
        return _Written(beginning, tools, strict, loose, written)

    def _with_held_input(self, tool: Tool, places: Mapping[str, int]) -> Tool:
        """The tool; without its input form, if that can be compiled, but not in the notation of the format's calls.

        Raises: InvalidRequest for an input form that no text can be held to.
        """
        if tool.input_form is None:
            return tool
        try:
            self._grammars.compile(NOTHING_FORCED + check_form(tool.input_form))
        except (TextGrammarError, GrammarError) as error:
            raise InvalidRequest(
                f"the input of {tool.name!r} cannot be held to its grammar: {error}",
                param=f"tools[{places[tool.name]}].input_form",
            ) from None
        try:
            self._compiled([tool], {tool.name}, ())
        except (SchemaError, GrammarError) as error:
            log_once(f"the input of {tool.name[:64]!r} is any text: {error}")
            return replace(tool, input_form=None)
        return tool

    def _without_grammar(self, tools: Sequence[Tool], strict: Collection[str], places: Mapping[str, int]) -> set[str]:
        loose = set()
        for tool in tools:
            try:
                self._compiled([tool], strict, ())
            except (SchemaError, GrammarError) as error:
                place = f"{error.pointer}: " if isinstance(error, SchemaError) and error.pointer else ""
                if tool.name in strict:
                    raise InvalidRequest(
                        f"the schema of {tool.name!r} cannot be honoured: {place}{error}",
                        param=f"tools[{places[tool.name]}].function.parameters",
                    ) from None
                log_once(f"the values in calls of {tool.name[:64]!r} are not held to its schema: {place}{error}")
                loose.add(tool.name)
        return loose

    def _checked(
        self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]
    ) -> dict[str, CallGrammar]:
        """The grammars of each tool's calls. The large ones, and what may fail in the others, are compiled.

        Raises: SchemaError, GrammarError.
        """
        written: dict[str, CallGrammar] = {}
        foreign: dict[str, None] = {}
        for name in dict.fromkeys(tool.name for tool in tools):
            grammar = self._call_grammar([tool for tool in tools if tool.name == name], strict, loose)
            if grammar is None:
                continue
            written[name] = grammar
            if len(grammar.text) > _LARGE:
                self._grammars.compile(grammar.text)
            else:
                foreign |= dict.fromkeys(sorted(grammar.foreign))
        if foreign:
            self._grammars.compile(alternatives(foreign))
        return written

    def _compiled(self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> None:
        """Raises: SchemaError, GrammarError if calls of `tools` have no grammar."""
        grammar = self._call_grammar(tools, strict, loose)
        if grammar is not None:
            self._grammars.compile(grammar.text)

    def _call_grammar(
        self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]
    ) -> CallGrammar | None:
        """Raises: SchemaError."""
        key = _key(tools, [(tool.name in strict, tool.name in loose) for tool in tools])
        known = self._texts.get(key)
        if known is None:
            known = _Kept(self._format.call_grammar(tools, strict, loose))
            self._texts.keep(key, known, len(key) + (len(known.calls.text) if known.calls else 0))
        return known.calls

    def _trigger(self, beginning: CallBeginning, grammar_of: GrammarOf) -> Trigger:
        if isinstance(beginning, CallsAfterToken):
            start, key = (self._tokenizer.specials[token] for token in (beginning.token, beginning.key))
            return TokenTrigger(self._tokenizer, start, self._grammars.compile(beginning.names), key, grammar_of)
        openings = self._grammars.beginning_with(beginning.opening) if beginning.opening else None
        return TextTrigger(
            self._tokenizer,
            beginning.pattern,
            beginning.last,
            beginning.between,
            grammar_of,
            beginning.thought_end,
            openings,
        )


def _key(tools: Sequence[Tool], more: object) -> bytes:
    """Equal tools have the same bytes: those of version 2 hold no references."""
    return marshal.dumps((repr(more), [tool.function for tool in tools], [repr(tool.input_form) for tool in tools]), 2)
