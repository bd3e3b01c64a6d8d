"""Options from the command line, the environment and ``.env``, and errors that name them as their user knows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from ..errors import BadOption
from .argument_parser import option_name

Options = TypeVar("Options", bound=BaseSettings)


def read_options(kind: type[Options], given: Mapping[str, Any]) -> Options:
    """The options of `kind`: those `given` on the command line, and for the others what the environment says.

    Raises: BadOption, with a line for each problem.
    """
    try:
        return kind(**given)
    except ValidationError as error:
        raise BadOption("\n".join(map(_line, error.errors()))) from None
    except UnicodeDecodeError as error:
        raise BadOption(f".env: the file is not UTF-8: {error}") from None
    except SettingsError as error:
        raise BadOption(str(error)) from None


def _line(problem: Mapping[str, Any]) -> str:
    option = "".join(f"{option_name(str(name))}: " for name in problem["loc"][:1])
    return f"{option}{problem['msg'].removeprefix('Value error, ')}"
