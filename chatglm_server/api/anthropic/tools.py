"""From Anthropic's tools, and the choice among them, to the nouns of chat.py."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from ...chat import Tool, ToolChoice
from ...errors import InvalidRequest
from ...log_once import log_once
from ..openai.tools import MAX_NAME, MAX_TOOLS, function_name
from ..validation import read


class ClientTool(BaseModel):
    """A tool that the client runs itself. Tools of other types run on Anthropic's servers."""

    type: Literal["custom"] | None = None
    name: str = Field(min_length=1, max_length=MAX_NAME)
    description: str | None = None
    input_schema: dict[str, Any] = Field(description="a JSON schema")
    strict: bool | None = Field(None, description="calls must fit the schema, or the request is refused")

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return function_name(value)

    def to_tool(self) -> Tool:
        """The noun: an OpenAI function, whose keys are always in the same order."""
        function: dict[str, Any] = {"name": self.name}
        if self.description is not None:
            function["description"] = self.description
        function["parameters"] = self.input_schema
        if self.strict:
            function["strict"] = True
        return Tool(function)


class ToolChoiceConfig(BaseModel):
    """The calls that the answer may hold: any number (auto), at least one (any), one of `name` (tool), or none."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = Field(None, description="one call at most")


_MODES: dict[str, Literal["auto", "required", "none"]] = {"auto": "auto", "any": "required", "none": "none"}


def read_client_tools(value: Any) -> tuple[Tool, ...]:
    """The tools in the field ``tools``. Tools of Anthropic's servers are left out: agents send them unasked.

    Raises: InvalidRequest.
    """
    if not isinstance(value, list | None):
        raise InvalidRequest("tools: must be a list", param="tools")
    items = value or []
    if len(items) > MAX_TOOLS:
        raise InvalidRequest(f"tools: at most {MAX_TOOLS}, not {len(items)}", param="tools")
    tools: list[Tool] = []
    names: set[str] = set()
    for number, item in enumerate(items):
        kind = item.get("type") if isinstance(item, dict) else None
        if isinstance(kind, str) and kind != "custom":
            log_once(f"leaving out tools of the type {kind[:64]!r}: they run on Anthropic's servers")
            continue
        tool = read(ClientTool, item, f"tools[{number}]").to_tool()
        if tool.name in names:
            raise InvalidRequest(f"two tools have the name {tool.name!r}", param=f"tools[{number}].name")
        names.add(tool.name)
        tools.append(tool)
    return tuple(tools)


def read_choice(choice: ToolChoiceConfig | None, tools: tuple[Tool, ...]) -> ToolChoice:
    """The noun. Raises: InvalidRequest for a choice that needs a tool which is not there."""
    if choice is None:
        return ToolChoice()
    if choice.type == "tool":
        if choice.name not in {tool.name for tool in tools}:
            raise InvalidRequest(
                f"tool_choice names {choice.name!r}, which is not among the tools that this server can offer",
                param="tool_choice",
            )
        return ToolChoice("named", choice.name)
    if choice.type == "any" and not tools:
        raise InvalidRequest('tool_choice "any" needs tools', param="tool_choice")
    return ToolChoice(_MODES[choice.type])
