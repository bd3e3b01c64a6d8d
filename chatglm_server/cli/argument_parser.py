"""The parser of the command line, made from a settings class: its help in a person's words."""

from __future__ import annotations

import argparse
import inspect
import textwrap
import types
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import groupby
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from .. import __version__
from ..errors import BadOption
from ..settings import REPEATED

_SHOWN_NAMES = 2
_UNITS = {"_s": "SECONDS", "_mb": "MB"}
_VALUES = {
    "model": "MODEL",
    "host": "ADDRESS",
    "port": "PORT",
    "embedding_model": "FOLDER",
    "openai_base_url": "ADDRESS",
    "allowed_host": "HOST",
    "allowed_origin": "ORIGIN",
    "out": "FILE",
    "record": "FILE",
    "prompt": "TEXT",
    "system": "TEXT",
    "tools": "FILE.py",
}
_LETTERS = {"prompt": "-p"}
"""Options that have a letter, too."""


def command_line_parser(
    options: type[BaseSettings],
    program: str,
    groups: dict[str, tuple[str, ...]],
    words: tuple[str, ...] = (),
    epilog: str = "",
) -> argparse.ArgumentParser:
    """A parser whose result holds the options that were given, as text, under the names of the settings' fields.

    Those in `words` are given by place, without a name.
    """
    shown = [word.upper() if options.model_fields[word].is_required() else f"[{word.upper()}]" for word in words]
    parser = argparse.ArgumentParser(
        prog=program,
        usage=" ".join([program, *shown, *(["[--option VALUE ...]"] if groups else [])]),
        description=inspect.getdoc(options),
        epilog=epilog,
        formatter_class=_Wrapped,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
        add_help=False,
    )
    for name in words:
        required = options.model_fields[name].is_required()
        help_text = options.model_fields[name].description
        parser.add_argument(name, nargs=None if required else "?", metavar=name.upper(), help=help_text)
    for title, names in groups.items():
        group = parser.add_argument_group(title)
        for name in names:
            _add_option(group, name, options.model_fields[name])
    others = parser.add_argument_group("Help")
    others.add_argument("--help", "-h", action="help", help="Show this text and exit.")
    others.add_argument(
        "--version", action="version", version=f"chatglm-server {__version__}", help="Show the version."
    )
    return parser


def read_words(parser: argparse.ArgumentParser, words: Sequence[str], fields: Iterable[str]) -> dict[str, Any]:
    """The values of the options in `words`, by field. Raises: BadOption if an option is unknown."""
    given, unknown = parser.parse_known_args(words)
    if unknown:
        near = get_close_matches(unknown[0].partition("=")[0], map(option_name, fields), 1)
        hint = f"did you mean {near[0]}?" if near else f"{parser.prog} --help shows all"
        raise BadOption(f"{unknown[0]}: no such option; {hint}")
    return vars(given)


class _Wrapped(argparse.HelpFormatter):
    """Wraps text to the terminal's width, but not within names. Lines that begin with a blank stay as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        lines: list[str] = []
        for kept, group in groupby(text.splitlines(), key=lambda line: not line or line.startswith(" ")):
            block = list(group)
            lines += block if kept else textwrap.wrap(" ".join(block), width, break_on_hyphens=False)
        return "\n".join(lines)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)


def option_name(field: str) -> str:
    """Of the field max_queue ``--max-queue``, and of as_json ``--json``: pydantic's models have a method json."""
    return f"--{field.removeprefix('as_').replace('_', '-')}"


def _add_option(group: argparse._ArgumentGroup, name: str, field: FieldInfo) -> None:
    option = option_name(name)
    names = [_LETTERS[name], option] if name in _LETTERS else [option]
    text = f"{field.description or ''}{_default(field)}".replace("%", "%%")
    kind = _without_none(field.annotation)
    if kind is bool:
        group.add_argument(option, action=argparse.BooleanOptionalAction, dest=name, help=text)
    elif get_origin(kind) is list or field.json_schema_extra == REPEATED:
        group.add_argument(option, action="append", metavar=_VALUES.get(name, "NAME"), help=text)
    else:
        group.add_argument(*names, metavar=_metavar(name, kind), help=text)


def _without_none(annotation: Any) -> Any:
    """The type of a value that is given: of ``int | None`` the ``int``."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(kind for kind in get_args(annotation) if kind is not type(None))
    return annotation


def _metavar(name: str, kind: Any) -> str:
    """The word that stands for the option's value."""
    if get_origin(kind) is Literal:
        return "{" + ",".join(get_args(kind)) + "}"
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return unit
    if name in _VALUES:
        return _VALUES[name]
    return {int: "NUMBER", float: "NUMBER", SecretStr: "KEY"}.get(kind, "NAME")


def _default(field: FieldInfo) -> str:
    default = field.get_default()
    if field.is_required() or default is None or default is False or default == []:
        return ""
    if isinstance(default, list):
        more = f" and {len(default) - _SHOWN_NAMES} more" if len(default) > _SHOWN_NAMES else ""
        return f" (default: {', '.join(default[:_SHOWN_NAMES])}{more})"
    return f" (default: {default:g})" if isinstance(default, float) else f" (default: {default})"
