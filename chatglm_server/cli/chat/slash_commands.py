"""The commands of a conversation: ``/system``, ``/tools`` and the others, a line each in `SLASH_COMMANDS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...chat import Usage
from ...errors import BadOption
from ..wrapped_text import wrapped
from .chat import Chat
from .tool_file import load_tools


@dataclass(frozen=True, slots=True)
class SlashCommand:
    """`run` takes the chat and the rest of the line, and returns what to tell the person.

    `asks_again`: the last question is then answered anew. `leaves`: the conversation then ends.
    """

    usage: str
    summary: str
    run: Callable[[Chat, str], str]
    asks_again: bool = False
    leaves: bool = False


class CannotDo(Exception):
    """The command makes no sense here; the message says why."""


def _system(chat: Chat, text: str) -> str:
    chat.conversation.system = text
    return "the system prompt is set" if text else "there is no system prompt now"


def _tools(chat: Chat, text: str) -> str:
    if text:
        try:
            chat.tools = load_tools(Path(text).expanduser())
        except BadOption as error:
            raise CannotDo(error.message) from None
    return f"tools: {', '.join(chat.tools)}" if chat.tools else "no tools; /tools FILE.py takes the functions of a file"


def _save(chat: Chat, text: str) -> str:
    if not text:
        raise CannotDo("/save FILE: name the file to write")
    path = Path(text).expanduser()
    try:
        chat.conversation.save(path)
    except FileExistsError:
        raise CannotDo(f"{path}: is there already; choose another name") from None
    except OSError as error:
        raise CannotDo(f"{path}: {error.strerror or error}") from None
    return f"saved as {path}"


def _retry(chat: Chat, _: str) -> str:
    if not chat.conversation.take_back():
        raise CannotDo("there is no question yet")
    return ""


def _new(chat: Chat, _: str) -> str:
    chat.conversation.clear()
    return "a new conversation"


def _stats(chat: Chat, _: str) -> str:
    if not chat.finishes:
        raise CannotDo("there is no answer yet")
    last = chat.finishes[-1]
    lines = [f"last answer   {_counts(last.usage)}"]
    if last.timings is not None:
        generated = last.usage.completion_tokens - 1
        speed = f", {generated / last.timings.generation:.1f} tokens a second" if last.timings.generation > 0 else ""
        lines.append(f"              first token after {last.timings.first_token:.2f} s{speed}")
    whole = sum((finish.usage for finish in chat.finishes), Usage())
    count = len(chat.finishes)
    lines.append(f"all answers   {_counts(whole)}; {count} answer{'' if count == 1 else 's'}")
    return "\n".join(lines)


def _counts(usage: Usage) -> str:
    read = f"{usage.prompt_tokens:,} tokens of prompt, {usage.cached_tokens:,} of them cached"
    return f"{read}; {usage.completion_tokens:,} written"


def _help(_: Chat, __: str) -> str:
    width = max(len(command.usage) for command in SLASH_COMMANDS.values()) + 2
    lines = [wrapped(command.summary, f"{command.usage:<{width}}") for command in SLASH_COMMANDS.values()]
    return "\n".join([*lines, "Enter sends; Alt-Enter begins a new line. Ctrl-C stops an answer; Ctrl-D leaves."])


SLASH_COMMANDS: dict[str, SlashCommand] = {
    "/system": SlashCommand("/system TEXT", "sets the system prompt; without TEXT, takes it away", _system),
    "/tools": SlashCommand("/tools FILE.py", "lets the model call the functions of a file, each after a y", _tools),
    "/save": SlashCommand("/save FILE", "writes the conversation: JSON if FILE ends in .json, else Markdown", _save),
    "/retry": SlashCommand("/retry", "answers the last question again", _retry, asks_again=True),
    "/new": SlashCommand("/new", "forgets the conversation, but not the system prompt", _new),
    "/stats": SlashCommand("/stats", "shows counts of tokens, speed and time to the first token", _stats),
    "/help": SlashCommand("/help", "shows this", _help),
    "/quit": SlashCommand("/quit", "leaves", lambda _, __: "", leaves=True),
}
