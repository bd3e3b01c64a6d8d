"""The command line: ``chatglm-server [serve] [options]``, ``chatglm-server parse``, ``chatglm-server render``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import partial

from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError

from ..errors import BadOption, ModelFileError
from ..settings import GROUPS, ParseOptions, RenderOptions, Settings
from .argument_parser import command_line_parser

COMMANDS: dict[str, type[BaseSettings]] = {"serve": Settings, "parse": ParseOptions, "render": RenderOptions}

_EPILOG = """Each option is also an environment variable (CHATGLM_PORT for --port), and may stand as such in a file .env
in the working folder. The command line wins over the environment, and the environment over .env.
Where none of them sets an option, these do: glm-proxy's OPENAI_BASE_URL, OPENAI_API_KEY, PORT and
ENABLE_THINK_FILTER, openai_api.py's MODEL (if it names a file) and NUM_THREADS.

Other commands, each with a --help of its own:
  chatglm-server parse    reads text that a model wrote
  chatglm-server render   writes prompts
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns the exit status: 0, 1 for a model that cannot be served or a line that cannot be read, 2 for bad options.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words.pop(0) if words and words[0] in COMMANDS else "serve"
    try:
        options = _read_options(command, words)
    except ValidationError as error:
        for problem in error.errors():
            option = "".join(f"--{str(name).replace('_', '-')}: " for name in problem["loc"][:1])
            print(f"error: {option}{problem['msg'].removeprefix('Value error, ')}", file=sys.stderr)
        return 2
    except (SettingsError, UnicodeDecodeError) as error:
        where = ".env: the file is not UTF-8: " if isinstance(error, UnicodeDecodeError) else ""
        print(f"error: {where}{error}", file=sys.stderr)
        return 2
    if isinstance(options, Settings):
        return _serve(options)
    from .format_commands import parse_line, render_line, run_lines

    if isinstance(options, ParseOptions):
        return run_lines(partial(parse_line, chunk_size=options.chunk_size), sys.stdin.buffer, sys.stdout.buffer)
    return run_lines(render_line, sys.stdin.buffer, sys.stdout.buffer)


def _read_options(command: str, words: list[str]) -> BaseSettings:
    """The options of a command, from all sources. Raises: ValidationError, SettingsError, UnicodeDecodeError."""
    kind = COMMANDS[command]
    if kind is Settings:
        parser = command_line_parser(kind, "chatglm-server", GROUPS, _EPILOG)
    else:
        parser = command_line_parser(kind, f"chatglm-server {command}", {"Options": tuple(kind.model_fields)})
    return kind(**vars(parser.parse_args(words)))


def _serve(settings: Settings) -> int:
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    logging.getLogger("chatglm_server").setLevel(logging.INFO)
    from ..app import create_app
    from ..engine.capabilities import Capability
    from ..loader import load_embedder, load_engine
    from ..service import Service
    from .listening import CannotListen, listen
    from .server import serve

    try:
        service = Service(load_engine(settings), load_embedder(settings))
        sockets = listen(settings.host, settings.port)
    except (BadOption, CannotListen, ModelFileError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, BadOption) else 1
    notes = _foreign_notes(settings, in_front_of_a_server=Capability.ANY_MODEL in service.engine.info.capabilities)
    return serve(create_app(settings, service), service, sockets, settings.request_timeout_s, notes)


def _foreign_notes(settings: Settings, *, in_front_of_a_server: bool) -> list[str]:
    """The start lines about names that belong to other programs."""
    of_the_server = {"openai_base_url", "upstream_api_key", "think_filter"}
    taken = [
        f"{value.name} in {value.place}"
        for value in settings.foreign
        if value.used and (in_front_of_a_server or value.option not in of_the_server)
    ]
    left = [
        f"{value.name} in {value.place}: not used, it names no file" for value in settings.foreign if not value.used
    ]
    return [*([", ".join(taken)] if taken else []), *left]
