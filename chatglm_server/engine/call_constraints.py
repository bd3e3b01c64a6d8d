"""Constraints that keep the calls of an answer to the tools' schemas."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ..chat import Tool
from ..decoding.constraints.grammars import GrammarError, Grammars
from ..decoding.constraints.triggered import TextTrigger, TokenTrigger, Trigger
from ..errors import InvalidRequest
from ..formats.base import ChatFormat, Prompt
from ..formats.call_grammar import CallGrammar, CallsAfterToken
from ..formats.values.json_schema import SchemaError
from ..log_once import log_once
from ..model_files.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class HeldCalls:
    """The grammar of calls, and what finds their beginnings in the tokens of an answer.

    `exact`: a call that is written in another way than the grammar's is text, because nothing has held it.
    """

    grammar: CallGrammar
    trigger: Trigger
    exact: bool


class CallConstraints:
    """Makes the grammars of a model's calls. `strict`: the schemas of all tools are binding."""

    def __init__(self, grammars: Grammars, chat_format: ChatFormat, tokenizer: Tokenizer, *, strict: bool) -> None:
        self._grammars = grammars
        self._format = chat_format
        self._tokenizer = tokenizer
        self._strict = strict

    def held(self, tools: Sequence[Tool], places: Mapping[str, int], prompt: Prompt) -> HeldCalls | None:
        """The compiled grammar of calls of `tools` in an answer to `prompt`; None if calls are free.

        Where a schema has no grammar, the values of its own tool may have any type, unless the schema is binding.
        `places` are the tools' numbers in the request. Any thread may ask.

        Raises: InvalidRequest for a binding schema that cannot be honoured.
        """
        strict = {tool.name for tool in tools if self._strict or tool.function.get("strict") is True}
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
    ) -> HeldCalls | None:
        """Raises: SchemaError, GrammarError."""
        calls = self._format.call_grammar(tools, strict, loose, prompt)
        return None if calls is None else HeldCalls(calls, self._trigger(calls), exact=bool(strict))

    def _trigger(self, calls: CallGrammar) -> Trigger:
        grammar = self._grammars.compile(calls.grammar)
        if isinstance(calls, CallsAfterToken):
            return TokenTrigger(self._tokenizer.specials[calls.token], grammar)
        openings = self._grammars.beginning_with(calls.opening) if calls.opening else None
        return TextTrigger(
            self._tokenizer, calls.pattern, calls.last, calls.between, grammar, calls.thought_end, openings
        )
