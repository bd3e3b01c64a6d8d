"""The command line: ``chatglm-server [serve] [options]``, and the other commands of `COMMANDS`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper

from pydantic_settings import BaseSettings

from ..errors import BadOption, ModelFileError
from ..settings import GROUPS
from .argument_parser import command_line_parser, read_words
from .commands import COMMANDS, SERVE
from .read_options import read_options

_EPILOG = """Each option is also an environment variable (CHATGLM_PORT for --port), and may stand as such in a file .env
in the working folder. The command line wins over the environment, and the environment over .env.
Where none of them sets an option, these do: glm-proxy's OPENAI_BASE_URL, OPENAI_API_KEY, PORT and
ENABLE_THINK_FILTER, openai_api.py's MODEL (if it names a file) and NUM_THREADS.

Other commands, each with a --help of its own:
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns the exit status: 0, 1 for a model that cannot be used or a line that cannot be read, 2 for bad options,
    130 after Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names of files need not be Unicode, nor the terminal
            stream.reconfigure(errors="backslashreplace")
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        near = get_close_matches(words[0], COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(COMMANDS)}; to serve: --model NAME"
        print(f"error: {words[0]}: no such command; {hint}", file=sys.stderr)
        return 2
    name = words.pop(0) if words and words[0] in COMMANDS else SERVE
    module, _, function = COMMANDS[name].run.partition(":")
    try:
        options = _read_options(name, words)
        status: int = getattr(import_module(f"{__package__}.{module}"), function)(options)
    except (BadOption, ModelFileError) as error:
        for line in error.message.splitlines():
            print(f"error: {line}", file=sys.stderr)
        return 2 if isinstance(error, BadOption) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader, such as head, has gone; Python would write the rest again at its exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def _read_options(name: str, words: list[str]) -> BaseSettings:
    """The options of a command, from all sources. Raises: BadOption."""
    command = COMMANDS[name]
    if name == SERVE:
        others = (f"  chatglm-server {other:<8} {COMMANDS[other].summary}" for other in COMMANDS if other != SERVE)
        parser = command_line_parser(command.options, "chatglm-server", GROUPS, epilog=_EPILOG + "\n".join(others))
    else:
        named = tuple(field for field in command.options.model_fields if field not in command.words)
        groups = {"Options": named} if named else {}
        parser = command_line_parser(command.options, f"chatglm-server {name}", groups, command.words)
    return read_options(command.options, read_words(parser, words, command.options.model_fields), command.words)
