"""The tools of a request and which of them to call, also as OpenAI's clients said it before tools: ``functions``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...chat import JsonObject, Tool, ToolChoice
from ...errors import InvalidRequest
from ..validation import read

MAX_TOOLS = 128
MAX_FOREIGN_TOOLS = 4096
"""Of requests that another server reads: reading more would hold up other requests."""
MAX_NAME = 128


class ToolBody(BaseModel):
    """A tool the model may call; the function object reaches it as the client wrote it."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"] = "function"
    function: dict[str, Any] = Field(description="name, description, parameters (a JSON schema)")

    @field_validator("function")
    @classmethod
    def _function(cls, value: dict[str, Any]) -> dict[str, Any]:
        name = value.get("name")
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
            raise ValueError(f"the function needs a name of 1 to {MAX_NAME} characters")
        function_name(name)
        if not isinstance(value.get("parameters"), dict | None):
            raise ValueError("the function's parameters must be a JSON schema, an object")
        return value


class ChosenFunction(BaseModel):
    """A function by its name."""

    name: str


class NamedChoice(BaseModel):
    """The tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


class AllowedTools(BaseModel):
    """The tools that may be called, and whether one must be."""

    mode: Literal["auto", "required"] = "auto"
    tools: Annotated[list[NamedChoice], Field(fail_fast=True)]


class AllowedToolsChoice(BaseModel):
    """Some of the tools."""

    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


Mode = Literal["none", "auto", "required"]
ToolChoiceBody = Mode | NamedChoice | AllowedToolsChoice


@dataclass(frozen=True, slots=True)
class ReadTools:
    """Tools, and those that are not functions. A request without tools has neither."""

    functions: tuple[Tool, ...] = ()
    foreign: tuple[JsonObject, ...] = ()


def function_name(name: str) -> str:
    """Checks the name: formats write it on a line of its own. Raises: ValueError."""
    if any(char.isspace() or not char.isprintable() for char in name):
        raise ValueError("a function's name must not hold blanks or control characters")
    return name


def read_tools(value: Any, *, foreign: bool, field: str = "tools") -> ReadTools:
    """The tools in `field`. `foreign`: another server reads them, so any object is a tool.

    ``functions`` hold bare function objects. Raises: InvalidRequest.
    """
    items = _list(value, field)
    most = MAX_FOREIGN_TOOLS if foreign else MAX_TOOLS
    if len(items) > most:
        raise InvalidRequest(f"{field}: at most {most}, not {len(items)}", param=field)
    functions: list[Tool] = []
    others: list[JsonObject] = []
    names: set[str] = set()
    for number, item in enumerate(items):
        wrapped = {"type": "function", "function": item} if field == "functions" else item
        try:
            body = read(ToolBody, wrapped, f"{field}[{number}]")
        except InvalidRequest:
            if foreign and isinstance(item, dict):
                others.append(item)
                continue
            if isinstance(item, dict) and item.get("type") == "custom":
                param = f"{field}[{number}].type"
                raise InvalidRequest(f"{param}: custom tools are for /v1/responses", param=param) from None
            raise
        tool = Tool(body.function, body.model_extra or {})
        if tool.name in names and not foreign:
            raise InvalidRequest(f"two tools have the name {tool.name!r}", param=f"{field}[{number}].function.name")
        names.add(tool.name)
        functions.append(tool)
    return ReadTools(tuple(functions), tuple(others))


def read_tool_choice(value: Any, tools: ReadTools, *, foreign: bool) -> ToolChoice | None:
    """The noun for ``tool_choice``; None if only another server understands it. Raises: InvalidRequest."""
    if value is None:
        return ToolChoice()
    try:
        choice = _tool_choice(value)
    except InvalidRequest:
        if foreign:
            return None
        raise
    if not foreign:
        _check_names(choice, [tool.name for tool in tools.functions])
    elif choice.mode == "required" and not (tools.functions or tools.foreign):
        raise _needs_tools("tool_choice")
    return choice


def read_function_call(value: Any, tools: ReadTools) -> ToolChoice:
    """The noun for the older ``function_call``: "none", "auto" or ``{"name": …}``. Raises: InvalidRequest."""
    if value is None:
        return ToolChoice()
    if value in ("none", "auto"):
        return ToolChoice(value)
    choice = ToolChoice("named", read(ChosenFunction, value, "function_call").name)
    _check_names(choice, [tool.name for tool in tools.functions], "function_call")
    return choice


def _tool_choice(value: Any) -> ToolChoice:
    if isinstance(value, str):
        return ToolChoice(read(Mode, value, "tool_choice"))
    if isinstance(value, dict) and value.get("type") == "allowed_tools":
        allowed = read(AllowedToolsChoice, value, "tool_choice").allowed_tools
        return ToolChoice(allowed.mode, allowed=tuple(tool.function.name for tool in allowed.tools))
    return ToolChoice("named", read(NamedChoice, value, "tool_choice").function.name)


def _check_names(choice: ToolChoice, names: list[str], field: str = "tool_choice") -> None:
    for name in (choice.name, *(choice.allowed or ())):
        if name is not None and name not in names:
            raise InvalidRequest(f"{field} names {name!r}, which is not in tools", param=field)
    if choice.mode == "required" and not (names if choice.allowed is None else choice.allowed):
        raise _needs_tools(field)


def _needs_tools(field: str) -> InvalidRequest:
    return InvalidRequest(f'{field} "required" needs tools', param=field)


def _list(value: Any, field: str) -> list[Any]:
    if not isinstance(value, list | None):
        raise InvalidRequest(f"{field}: must be a list", param=field)
    return value or []
