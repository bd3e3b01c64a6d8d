"""From a question to its answer: asks the engine, and runs the calls that a person allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Protocol

from ...answer import Answer
from ...chat import ChatRequest, Finish, ToolCall
from ...engine.base import Engine
from ...sampling import Sampling
from .conversation import Conversation
from .interrupts import Stopped, stopping_at_ctrl_c, until_ctrl_c
from .plain_display import Display
from .tool_file import PythonTool

_REFUSED = "The user did not allow this call."
_CUT_OFF = "the answer was cut off: it has reached the limit of tokens"
_NOTHING = "the model wrote nothing"


class Person(Protocol):
    """Sees answers and calls, and says which calls may run."""

    def display(self) -> Display: ...

    async def allows(self, call: ToolCall) -> bool:
        """Raises: Stopped."""
        ...

    def see_result(self, result: str) -> None: ...


class Chat:
    """A conversation with a model. `model` is its name on another server; None: the engine's own."""

    def __init__(
        self,
        engine: Engine,
        model: str | None,
        conversation: Conversation,
        tools: Mapping[str, PythonTool],
        temperature: float | None,
    ) -> None:
        self.conversation = conversation
        self.tools = tools
        self.finishes: list[Finish] = []
        """The ends of all answers so far, with their counts and times."""
        self._engine = engine
        self.model = model
        self._sampling = Sampling(temperature=temperature)

    @property
    def shortcoming(self) -> str:
        """Says that the last answer was cut off at a limit of tokens, or has no text; "" if neither is so."""
        if self.finishes and self.finishes[-1].reason == "length":
            return _CUT_OFF
        return "" if self.conversation.messages[-1].content.strip() else _NOTHING

    async def answer(self, person: Person) -> None:
        """Answer the last question; while the model calls tools, run what `person` allows, and let it go on.

        Raises: Stopped at Ctrl-C, and what `Engine.chat` raises. What then is there of the answer's text is kept.
        """
        while calls := await self._next_answer(person.display):
            try:
                results = [(call, await self._result(call, person)) for call in calls]
            except Stopped:
                self.conversation.take_back()
                raise
            for call, result in results:
                self.conversation.add_result(call, result)

    async def _next_answer(self, display: Callable[[], Display]) -> tuple[ToolCall, ...]:
        """Show the answer to the conversation, and add it. Returns its calls."""
        answer = Answer()
        try:
            with display() as shown:
                await until_ctrl_c(self._read(answer, shown))
        except BaseException:
            self.conversation.add_part(answer)
            raise
        self.finishes.append(answer.finished())
        return self.conversation.add_answer(answer)

    async def _read(self, answer: Answer, shown: Display) -> None:
        request = ChatRequest(
            self.conversation.messages,
            tools=tuple(tool.tool for tool in self.tools.values()),
            sampling=self._sampling,
            model=self.model,
            streamed=True,
        )
        async with aclosing(self._engine.chat(request)) as events:
            async for event in events:
                answer.add(event)
                shown.add(event)

    async def _result(self, call: ToolCall, person: Person) -> str:
        """Raises: Stopped."""
        tool = self.tools.get(call.name)
        if tool is None:
            return f"error: there is no tool {call.name}; there is {', '.join(self.tools)}"
        if not await person.allows(call):
            return _REFUSED
        with stopping_at_ctrl_c():  # in this thread, so that Ctrl-C reaches a function that does not end
            result = tool.call(call.arguments)
        person.see_result(result)
        return result
