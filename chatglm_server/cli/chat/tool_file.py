"""The functions of a Python file as tools that a model may call."""

from __future__ import annotations

import inspect
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError, validate_call
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import PydanticSerializationError, to_json

from ...chat import Tool
from ...errors import BadOption
from ...json_text import join_surrogates

_MODULE = "chatglm_server_tools"


@dataclass(frozen=True, slots=True)
class PythonTool:
    """A function, and what the model is told of it."""

    tool: Tool
    function: Callable[..., Any]

    def call(self, arguments: dict[str, Any] | str) -> str:
        """Call the function and return its result as text. An exception becomes text, too, and so do arguments that do
        not fit.
        """
        if isinstance(arguments, str):
            return "error: the arguments are not a JSON object"
        try:
            result = validate_call(self.function)(**arguments)
            return join_surrogates(result) if isinstance(result, str) else to_json(result).decode()
        except ValidationError as error:
            problems = (f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
            return f"error: {'; '.join(problems)}"
        except PydanticSerializationError:
            return repr(result)
        except (Exception, SystemExit) as error:
            return join_surrogates(f"error: {type(error).__name__}: {error}")


def load_tools(path: Path) -> dict[str, PythonTool]:
    """Run the Python file and return its public functions by name: parameters from signatures, descriptions from
    docstrings and from ``Annotated[..., Field(description=...)]``.

    Raises: BadOption if the file cannot be run, or a function's parameters are not JSON.
    """
    try:
        names = runpy.run_path(str(path), run_name=_MODULE)
    except OSError as error:
        raise BadOption(f"{path}: {error.strerror or error}") from None
    except (Exception, SystemExit) as error:
        raise BadOption(f"{path}: {type(error).__name__}: {error}") from None
    functions = {
        name: value
        for name, value in names.items()
        if inspect.isfunction(value) and value.__module__ == _MODULE and not name.startswith("_")
    }
    if not functions:
        raise BadOption(f"{path}: holds no function; each function whose name does not begin with _ is a tool")
    return {name: PythonTool(_described(path, name, function), function) for name, function in functions.items()}


class _Untitled(GenerateJsonSchema):
    """Schemas without pydantic's titles, which only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def arguments_schema(self, schema: Any) -> dict[str, Any]:
        parameters = super().arguments_schema(schema)
        if parameters.get("type") != "object":
            raise PydanticUserError("its parameters have no names", code=None)
        return parameters


def _described(path: Path, name: str, function: Any) -> Tool:
    """Raises: BadOption."""
    if inspect.iscoroutinefunction(function):
        raise BadOption(f"{path}: {name}: is async; a tool is a plain function")
    try:
        parameters = TypeAdapter(function).json_schema(schema_generator=_Untitled)
    except (PydanticUserError, NameError, TypeError) as error:
        why = str(error).partition("\n")[0]
        raise BadOption(f"{path}: {name}: parameters that JSON cannot hold: {why}") from None
    return Tool({"name": name, "description": inspect.getdoc(function) or "", "parameters": parameters})
