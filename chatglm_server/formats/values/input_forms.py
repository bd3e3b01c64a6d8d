"""The form of the one text that some tools take: as a grammar of plain text, and as a JSON schema for quoted text."""

from __future__ import annotations

from ...chat import GrammarFormat, RegexFormat, Tool
from .json_schema import SchemaError
from .lark_reader import LarkGrammar, portable_pattern
from .text_grammar import NOTHING_FORCED, TextGrammarError, check_grammar, regex_grammar


def check_form(form: RegexFormat | GrammarFormat) -> str:
    """The form as a client wrote it, as the rules of a grammar, for the compiler to find faults with the right line.

    Raises: TextGrammarError for what is not read here.
    """
    if isinstance(form, RegexFormat):
        return regex_grammar(form.pattern)
    check_grammar(form.grammar)
    LarkGrammar(form.grammar)
    return form.grammar


def input_grammar(form: RegexFormat | GrammarFormat) -> str:
    """The rules of a grammar for the texts in the form: one terminal, if the form is regular.

    Then nothing depends on where a terminal ends, and text that leaves no choice may be forced.
    """
    if isinstance(form, RegexFormat):
        return regex_grammar(form.pattern)
    try:
        return regex_grammar(LarkGrammar(form.grammar).pattern())
    except TextGrammarError:
        return NOTHING_FORCED + form.grammar


def input_parameters(tool: Tool) -> object:
    """The tool's parameters; those of a tool with an input form ask for a string in that form.

    Raises: SchemaError if no pattern says the form.
    """
    parameters, form = tool.function.get("parameters"), tool.input_form
    if form is None or not isinstance(parameters, dict):
        return parameters
    try:
        if isinstance(form, RegexFormat):
            pattern = portable_pattern(form.pattern)
        else:
            pattern = LarkGrammar(form.grammar).pattern()
    except TextGrammarError as error:
        raise SchemaError(f"no pattern says its grammar: {error}") from None
    texts = {name: {"type": "string", "pattern": f"^{pattern}$"} for name in parameters["properties"]}
    return {**parameters, "properties": texts}
