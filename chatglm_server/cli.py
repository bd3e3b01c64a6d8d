"""The command line: ``chatglm-server [serve] [options]``, ``chatglm-server parse``, ``chatglm-server render``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from functools import partial

from pydantic import ValidationError
from pydantic_settings import BaseSettings, CliApp, SettingsError

from .errors import ModelFileError
from .settings import ParseOptions, RenderOptions, Settings

COMMANDS: dict[str, type[BaseSettings]] = {"serve": Settings, "parse": ParseOptions, "render": RenderOptions}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns the exit status: 0, 1 for a model that cannot be served or a line that cannot be read, 2 for bad options.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    command = words.pop(0) if words and words[0] in COMMANDS else "serve"
    try:
        options = CliApp.run(COMMANDS[command], cli_args=words)
    except ValidationError as error:
        for problem in error.errors():
            option = " ".join(f"--{str(step).replace('_', '-')}:" for step in problem["loc"])
            print(f"error: {option} {problem['msg'].removeprefix('Value error, ')}".replace("  ", " "), file=sys.stderr)
        return 2
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if isinstance(options, Settings):
        return _serve(options)
    from .format_commands import parse_line, render_line, run_lines

    if isinstance(options, ParseOptions):
        return run_lines(partial(parse_line, chunk_size=options.chunk_size), sys.stdin.buffer, sys.stdout.buffer)
    return run_lines(render_line, sys.stdin.buffer, sys.stdout.buffer)


def _serve(settings: Settings) -> int:
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    logging.getLogger("chatglm_server").setLevel(logging.INFO)
    from .app import create_app
    from .engine.loader import load_embedder, load_engine
    from .server import serve

    try:
        engine = load_engine(settings)
        embedder = load_embedder(settings)
    except ModelFileError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return 1
    return serve(
        create_app(settings, engine, embedder), engine, settings.host, settings.port, settings.request_timeout_s
    )
