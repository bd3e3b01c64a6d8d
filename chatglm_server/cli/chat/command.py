"""``chatglm-server chat``: from its options to a conversation."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text

from ...engine.base import Engine
from ...engine.capabilities import Capability
from ...errors import BadOption, ChatGLMServerError, ModelFileError, UpstreamError, UpstreamUnreachable
from ...hub.references import is_server_address
from ...loader import load_engine
from ...settings import Settings
from ..commands import ChatOptions
from ..read_options import read_options
from ..safe_text import printable
from .chat import Chat
from .conversation import Conversation
from .interrupts import outliving_ctrl_c
from .one_question import answer_once, read_question
from .terminal import converse
from .tool_file import load_tools

_REFUSED = (401, 403)


def run_chat(options: ChatOptions) -> int:
    """Returns the exit status: 1 if an answer failed. Raises: BadOption, ModelFileError."""
    console = Console(highlight=False, force_terminal=sys.stdout.isatty())  # whatever FORCE_COLOR says
    piped = None if sys.stdin.isatty() else sys.stdin.buffer
    alone = options.prompt is None and piped is None
    if alone and not console.is_terminal:
        raise BadOption("--prompt: needed where the answer goes to a file or a program")
    if options.tools is not None and (piped is not None or not console.is_terminal):
        raise BadOption("--tools: a call runs only after a y, which needs a terminal")
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    tools = {} if options.tools is None else load_tools(options.tools.expanduser())
    question = None if alone else read_question(options.prompt, piped)
    with _own_names(options):
        engine = load_engine(_settings(options))
    chat = Chat(engine, options.name, Conversation(options.system or ""), tools, options.temperature)
    return asyncio.run(_run(engine, chat, question, console))


def _settings(options: ChatOptions) -> Settings:
    """The settings of the server, from the environment and ``.env``, with the model of `options`. Raises: BadOption."""
    given: dict[str, object] = {}
    if options.model is not None:
        given["model"] = options.model
    if options.api_key is not None:
        given["upstream_api_key"] = options.api_key
    if options.model is not None and is_server_address(options.model):
        given["port"] = 0  # no port is its own: the address may well be that of a server here
    return read_options(Settings, given)


@contextmanager
def _own_names(options: ChatOptions) -> Iterator[None]:
    """Errors of the server's settings name the options of this command, if those gave the model or the key."""
    try:
        yield
    except (BadOption, ModelFileError) as error:
        message = error.message
        if options.model is not None:
            message = message.removeprefix("--model: ")
        if options.model is not None or options.api_key is not None:
            message = message.replace("--upstream-api-key", "--api-key")
        raise type(error)(message) from None


async def _run(engine: Engine, chat: Chat, question: str | None, console: Console) -> int:
    """Raises: ModelFileError."""
    try:
        greeting = await _greeting(engine, chat)
        await engine.load()
        if question is not None:
            return await answer_once(chat, question, console)
        console.print(Text(printable(greeting), style="dim"))
        with outliving_ctrl_c():
            return await converse(chat, console)
    finally:
        engine.stop()
        await engine.close()


async def _greeting(engine: Engine, chat: Chat) -> str:
    """The lines that begin a conversation. Raises: ModelFileError if no server answers, or if it refuses the key."""
    info = engine.info
    name = chat.model or info.id
    try:
        known = await engine.models() if Capability.ANY_MODEL in info.capabilities else []
    except UpstreamUnreachable as error:
        raise ModelFileError(f"{error.message}; see whether that server runs, and at this address") from None
    except ChatGLMServerError as error:  # not every server has a list of models
        if isinstance(error, UpstreamError) and error.status in _REFUSED:
            raise ModelFileError(f"{info.id}: {error.message}; give the key with --api-key") from None
        known = []
    if chat.model is None and known:
        others = len(known) - 1
        name = f"{known[0].id} at {info.id}" + (f" ({others} more; --name chooses)" if others else "")
    note = f" ({info.note})" if info.note else ""
    return f"{name}{note}\n/help shows the commands; Ctrl-D leaves"
