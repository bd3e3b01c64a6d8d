"""The tools of the Responses API: as functions for the model, and back to the client's names in its calls.

The model knows functions only. A function of a ``namespace`` has a name of both, and a ``custom`` tool, whose input is
plain text, is a function with one string. Other types are OpenAI's own services: they are dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from ...chat import GrammarFormat, JsonObject, RegexFormat, Tool, ToolChoice
from ...errors import InvalidRequest
from ...log_once import log_once
from ..openai.tools import MAX_NAME, MAX_TOOLS, Mode, ReadTools, function_name, read_tool_choice
from ..validation import read
from .custom_input import INPUT

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(function_name)]


class FunctionTool(BaseModel):
    """A function; `parameters` is a JSON schema."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class InputFormat(BaseModel):
    """The form of a custom tool's input: any text, or text that fits `definition`."""

    type: Literal["text", "grammar"] = "text"
    syntax: Literal["lark", "regex"] | None = None
    definition: str | None = None


class CustomTool(BaseModel):
    """A tool whose input is plain text."""

    type: Literal["custom"]
    name: Name
    description: str | None = None
    format: InputFormat | None = None


class NamespaceTool(BaseModel):
    """Tools under a common name."""

    type: Literal["namespace"]
    name: Name
    tools: list[Any]


class ChosenTool(BaseModel):
    """A tool by its name."""

    type: Literal["function", "custom"]
    name: str
    namespace: str | None = None


class AllowedTools(BaseModel):
    """The tools that may be called, and whether one must be. Those of other types are never called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[dict[str, Any]], Field(fail_fast=True, max_length=MAX_TOOLS)]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool as the client named it, `place` in its request, and the `function` that the model is offered.

    `input_form`: what the input of a custom tool has to be.
    """

    place: str
    name: str
    namespace: str | None
    custom: bool
    function: JsonObject
    input_form: RegexFormat | GrammarFormat | None = None


class OfferedTools:
    """The tools of a request, by the names that the model knows."""

    def __init__(self, tools: dict[str, OfferedTool]) -> None:
        self._tools = tools

    @property
    def functions(self) -> tuple[Tool, ...]:
        return tuple(Tool(dict(tool.function), input_form=tool.input_form) for tool in self._tools.values())

    @property
    def places(self) -> tuple[str, ...]:
        """Where the client has each of `functions`."""
        return tuple(tool.place for tool in self._tools.values())

    def called(self, name: str) -> OfferedTool:
        """The tool that a call of the function `name` means; a function of that name if none was offered."""
        return self._tools.get(name) or OfferedTool("", name, None, False, {})


def flat_name(name: str, namespace: str | None) -> str:
    """The name of a function for the model."""
    return name if namespace is None else f"{namespace}__{name}"


def read_offered_tools(value: Any) -> OfferedTools:
    """Reads ``tools``. Raises: InvalidRequest."""
    offered: dict[str, OfferedTool] = {}
    for tool in _tools(value, "tools", None):
        name = flat_name(tool.name, tool.namespace)
        if name in offered:
            raise InvalidRequest(f"{tool.place}: another tool has the name {name!r}", param=tool.place)
        if len(name) > MAX_NAME:
            most = f"the names of a namespace and its tool have at most {MAX_NAME - 2} characters together"
            raise InvalidRequest(f"{tool.place}: {most}", param=tool.place)
        offered[name] = tool
        if len(offered) > MAX_TOOLS:
            raise InvalidRequest(f"tools: at most {MAX_TOOLS}", param="tools")
    return OfferedTools(offered)


def read_chosen_tool(value: Any, offered: OfferedTools) -> ToolChoice:
    """Reads ``tool_choice``, as that of chat completions once its tools have flat names. Raises: InvalidRequest."""
    functions = ReadTools(offered.functions)
    if isinstance(value, str):
        value = read(Mode, value, "tool_choice")
    elif isinstance(value, dict) and value.get("type") == "allowed_tools":
        body: AllowedTools = read(AllowedTools, value, "tool_choice")
        tools = [_chosen(tool) for tool in body.tools if tool.get("type") in ("function", "custom")]
        value = {"type": "allowed_tools", "allowed_tools": {"mode": body.mode, "tools": tools}}
    elif value is not None:
        value = _chosen(value)
    return read_tool_choice(value, functions, foreign=False) or ToolChoice()


def _chosen(value: Any) -> JsonObject:
    tool: ChosenTool = read(ChosenTool, value, "tool_choice")
    return {"type": "function", "function": {"name": flat_name(tool.name, tool.namespace)}}


def _tools(value: Any, place: str, namespace: str | None) -> Iterator[OfferedTool]:
    if not isinstance(value, list | None):
        raise InvalidRequest(f"{place}: must be a list", param=place)
    for number, item in enumerate(value or []):
        yield from _offered(item, f"{place}[{number}]", namespace)


def _offered(item: Any, place: str, namespace: str | None) -> Iterator[OfferedTool]:
    kind = item.get("type") if isinstance(item, dict) else None
    if not isinstance(kind, str):
        raise InvalidRequest(f'{place}: a tool is an object with a "type"', param=place)
    if kind == "namespace" and namespace is None:
        bundle: NamespaceTool = read(NamespaceTool, item, place)
        yield from _tools(bundle.tools, f"{place}.tools", bundle.name)
    elif kind == "function":
        function: FunctionTool = read(FunctionTool, item, place)
        said = function.model_dump(exclude={"type", "name"}, exclude_none=True)
        if not function.strict:
            said.pop("strict", None)
        name = flat_name(function.name, namespace)
        yield OfferedTool(place, function.name, namespace, False, {"name": name, **said})
    elif kind == "custom":
        custom: CustomTool = read(CustomTool, item, place)
        form = _input_form(custom.format, f"{place}.format")
        yield OfferedTool(place, custom.name, namespace, True, _function_of(custom, namespace), form)
    else:
        log_once(f"dropping tools of the type {kind[:64]!r}: they are services of OpenAI's")


def _input_form(form: InputFormat | None, place: str) -> RegexFormat | GrammarFormat | None:
    """Raises: InvalidRequest for a grammar without a definition."""
    if form is None or form.type == "text":
        return None
    if form.definition is None:
        raise InvalidRequest(f"{place}.definition: a grammar needs it", param=f"{place}.definition")
    return RegexFormat(form.definition) if form.syntax == "regex" else GrammarFormat(form.definition, "lark")


def _function_of(tool: CustomTool, namespace: str | None) -> JsonObject:
    """A function with the tool's input as its one argument."""
    told = [tool.description] if tool.description else []
    form = tool.format
    if form is not None and form.type == "grammar" and form.definition:
        told.append(f"The input must fit this grammar ({form.syntax or 'lark'}):\n{form.definition}")
    text: JsonObject = {"type": "string", "description": "The input of the tool, as plain text"}
    schema: JsonObject = {"type": "object", "properties": {INPUT: text}, "required": [INPUT]}
    return {"name": flat_name(tool.name, namespace), "description": "\n\n".join(told), "parameters": schema}
