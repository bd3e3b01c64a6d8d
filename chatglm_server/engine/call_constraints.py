"""Constraints that keep the calls of an answer to the tools' schemas."""

from __future__ import annotations

import asyncio
import marshal
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..chat import Tool
from ..decoding.constraints.grammars import GrammarError, Grammars
from ..decoding.constraints.triggered import Beginning, TextTrigger, TokenTrigger, Trigger
from ..errors import InvalidRequest
from ..formats.base import ChatFormat, Prompt
from ..formats.call_grammar import CallGrammar, CallsAfterToken
from ..formats.values.input_forms import check_form
from ..formats.values.json_schema import SchemaError
from ..formats.values.text_grammar import NOTHING_FORCED, TextGrammarError
from ..log_once import log_once
from ..model_files.tokenizer import Tokenizer
from ..recent import Recent

_KEPT_BYTES = 2_000_000  # of tools and the grammars of their calls


@dataclass(frozen=True, slots=True)
class HeldCalls:
    """The grammar of calls, and what finds their beginnings in the tokens of an answer."""

    grammar: CallGrammar
    trigger: Trigger


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
    """The grammar of the calls of some tools; None if they are free."""

    calls: CallGrammar | None


class CallConstraints:
    """Makes the grammars of a model's calls. `strict`: the schemas of all tools are binding."""

    def __init__(self, grammars: Grammars, chat_format: ChatFormat, tokenizer: Tokenizer, *, strict: bool) -> None:
        self._grammars = grammars
        self._format = chat_format
        self._tokenizer = tokenizer
        self._strict = strict
        self._written: Recent[bytes, _Written] = Recent(_KEPT_BYTES)

    def binding(self, tools: Sequence[Tool]) -> set[str]:
        """The names of those `tools` whose schemas or input forms are binding. A request with none is never refused."""
        return {
            tool.name
            for tool in tools
            if self._strict or tool.function.get("strict") is True or tool.input_form is not None
        }

    def held(self, tools: Sequence[Tool], places: Mapping[str, int], prompt: Prompt) -> HeldCalls | None:
        """The compiled grammar of calls of `tools` in an answer to `prompt`; None if calls are free.

        It is written once for tools that are the same, as long as it is kept.

        Where a schema has no grammar, the values of its own tool may have any type, unless the schema is binding.
        `places` are the tools' numbers in the request. Any thread may ask.

        Raises: InvalidRequest for a binding schema that cannot be honoured.
        """
        # equal tools have the same bytes: those of version 2 hold no references
        forms = [repr(tool.input_form) for tool in tools]
        key = marshal.dumps((prompt.ends_in_think, [tool.function for tool in tools], forms), 2)
        written = self._written.get(key)
        if written is None:
            written = _Written(self._write(tools, places, prompt))
            self._written.keep(key, written, len(key) + (len(written.calls.grammar) if written.calls else 0))
        return None if written.calls is None else HeldCalls(written.calls, self._trigger(written.calls))

    def _write(self, tools: Sequence[Tool], places: Mapping[str, int], prompt: Prompt) -> CallGrammar | None:
        """A grammar that can be compiled. Raises: InvalidRequest."""
        strict = self.binding(tools)
        tools = [self._with_held_input(tool, places, prompt) for tool in tools]
        try:
            return self._checked(tools, strict, (), prompt)
        except (SchemaError, GrammarError):
            loose = self._without_grammar(tools, strict, places, prompt)
        try:
            return self._checked(tools, strict, loose, prompt)
        except (SchemaError, GrammarError) as error:
            if strict:
                raise InvalidRequest(
                    f"the tools' schemas cannot be honoured together: {error}", param="tools"
                ) from None
            log_once(f"calls are not held to the tools' schemas: {error}")
            return None

    def _with_held_input(self, tool: Tool, places: Mapping[str, int], prompt: Prompt) -> Tool:
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
            self._checked([tool], {tool.name}, (), prompt)
        except (SchemaError, GrammarError) as error:
            log_once(f"the input of {tool.name[:64]!r} is any text: {error}")
            return replace(tool, input_form=None)
        return tool

    def _without_grammar(
        self, tools: Sequence[Tool], strict: Collection[str], places: Mapping[str, int], prompt: Prompt
    ) -> set[str]:
        loose = set()
        for tool in tools:
            try:
                self._checked([tool], strict, (), prompt)
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
        self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str], prompt: Prompt
    ) -> CallGrammar | None:
        """Raises: SchemaError, GrammarError."""
        calls = self._format.call_grammar(tools, strict, loose, prompt)
        if calls is not None:
            self._grammars.compile(calls.grammar)
        return calls

    def _trigger(self, calls: CallGrammar) -> Trigger:
        grammar = self._grammars.compile(calls.grammar)
        if isinstance(calls, CallsAfterToken):
            return TokenTrigger(self._tokenizer.specials[calls.token], grammar)
        openings = self._grammars.beginning_with(calls.opening) if calls.opening else None
        return TextTrigger(
            self._tokenizer, calls.pattern, calls.last, calls.between, grammar, calls.thought_end, openings
        )
