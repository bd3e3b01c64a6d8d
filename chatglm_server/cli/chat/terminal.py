"""The person at the terminal: reads lines with history, shows answers, and asks before a call runs."""

from __future__ import annotations

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.console import Console
from rich.text import Text

from ...chat import ToolCall
from ...errors import ChatGLMServerError
from ..safe_text import printable
from .chat import Chat
from .conversation import arguments_text
from .history import typed_lines
from .interrupts import Stopped
from .live_display import LiveDisplay
from .silent_keys import forget_keys
from .slash_commands import SLASH_COMMANDS, CannotDo

_LONGEST_RESULT = 200  # characters that are shown; the model gets all


class Terminal:
    """A `Person` of chat.py."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def display(self) -> LiveDisplay:
        return LiveDisplay(self._console)

    async def allows(self, call: ToolCall) -> bool:
        self._console.print(Text(printable(f"{call.name} {arguments_text(call)}"), style="bold"))
        question: PromptSession[str] = PromptSession()
        forget_keys()
        try:
            answer = await question.prompt_async("run it? [y/N] ")
        except (KeyboardInterrupt, EOFError):
            raise Stopped from None
        return answer.strip().lower() in ("y", "yes")

    def see_result(self, result: str) -> None:
        more = "…" if len(result) > _LONGEST_RESULT else ""
        self.tell(f"→ {result[:_LONGEST_RESULT]}{more}")

    def tell(self, text: str) -> None:
        """A note of this program."""
        self._console.print(Text(printable(text), style="dim"))

    def fail(self, text: str) -> None:
        """A note that something went wrong."""
        self._console.print(Text(f"error: {printable(text)}", style="red"))


async def converse(chat: Chat, console: Console) -> int:
    """Read questions and commands, and answer them, until the person leaves. Returns the exit status, 0."""
    terminal = Terminal(console)
    lines: PromptSession[str] = PromptSession(
        history=typed_lines(),
        multiline=True,
        key_bindings=_keys(),
        completer=WordCompleter(list(SLASH_COMMANDS), sentence=True),
        complete_while_typing=False,
        prompt_continuation="  ",
    )
    while True:
        try:
            text = (await lines.prompt_async("> ")).strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return 0
        if not text:
            continue
        word, *rest = text.split(maxsplit=1)
        command = SLASH_COMMANDS.get(word)
        if command is not None:
            try:
                told = command.run(chat, "".join(rest))
            except CannotDo as error:
                terminal.fail(str(error))
                continue
            if told:
                terminal.tell(told)
            if command.leaves:
                return 0
            if not command.asks_again:
                continue
        elif word.startswith("/") and word[1:].isalpha():
            terminal.fail(f"{word}: no such command; /help shows them")
            continue
        else:
            chat.conversation.ask(text)
        try:
            await chat.answer(terminal)
            if chat.shortcoming:
                terminal.tell(f"{chat.shortcoming}; /retry asks again, /new begins a new conversation")
        except Stopped:
            terminal.tell("stopped; /retry asks again")
        except ChatGLMServerError as error:
            terminal.fail(f"{error.message}; /retry asks again")


def _keys() -> KeyBindings:
    """Enter sends; Alt-Enter begins a new line."""
    keys = KeyBindings()

    @keys.add("enter")
    def _send(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _new_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys
