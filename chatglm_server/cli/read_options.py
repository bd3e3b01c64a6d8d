"""Options from the command line, the environment and ``.env``, and errors that name them as their user knows them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from ..errors import BadOption
from .argument_parser import option_name

Options = TypeVar("Options", bound=BaseSettings)


def read_options(kind: type[Options], given: Mapping[str, Any], words: Collection[str] = ()) -> Options:
    """The options of `kind`: those `given` on the command line, and for the others what the environment says.

    Those in `words` are given by place, without a name.

    Raises: BadOption, with a line for each problem.
    """
    try:
        return kind(**given)
    except ValidationError as error:
        raise BadOption("\n".join(_line(problem, words) for problem in error.errors())) from None
    except UnicodeDecodeError as error:
        raise BadOption(f".env: the file is not UTF-8: {error}") from None
    except SettingsError as error:
        raise BadOption(str(error)) from None


def _line(problem: Mapping[str, Any], words: Collection[str]) -> str:
    names = (name.upper() if name in words else option_name(name) for name in map(str, problem["loc"][:1]))
    option = "".join(f"{name}: " for name in names)
    return f"{option}{problem['msg'].removeprefix('Value error, ')}"
