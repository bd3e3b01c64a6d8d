"""OpenAI's chat answers, whole or as the chunks of a stream."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from typing_extensions import assert_never

from ...answer import Answer, AnsweredCall
from ...chat import (
    AnswerEvent,
    AnswerWritten,
    Finish,
    ParserEvent,
    PromptRead,
    ReasoningDelta,
    TextDelta,
    TokenSampled,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallRepaired,
    ToolCallStart,
    Usage,
)
from ..dialect import AnswerShape, Json, StreamEvent
from .logprobs import MAX_TOKENS_HELD, chat_logprobs
from .objects import answer_head, progress_of, timings_of, usage_object


class ChatCompletion(AnswerShape):
    """The answers to one request; id, time and model are the same in all their objects.

    `choices`: how many answers. `offers_tools`: an answer may hold calls; then its first chunk waits for the first
    event, which tells whether `content` begins as text or as null. `include_usage`: a stream ends with a usage chunk.
    `report_repairs`: each call that was repaired says how, in ``x_repairs``. `function_call`: the client asked with
    ``functions``, so a call is a ``function_call``. `include_timings`: the answer says how long it took, and a chunk
    how long it has taken.
    `include_progress`: a stream says how far a long prompt is read.
    """

    def __init__(
        self,
        model: str,
        *,
        choices: int = 1,
        offers_tools: bool = False,
        include_usage: bool = False,
        report_repairs: bool = False,
        function_call: bool = False,
        include_timings: bool = False,
        include_progress: bool = False,
    ) -> None:
        self._head = answer_head("chatcmpl-", model)
        self._choices = choices
        self._offers_tools = offers_tools
        self._include_usage = include_usage
        self._report_repairs = report_repairs
        self._function_call = function_call
        self._include_timings = include_timings
        self._include_progress = include_progress
        self._begun: set[int] = set()
        self._filled: set[int] = set()  # choices whose stream has content or a call
        self._timings: dict[int, Json] = {}  # by choice
        self._tokens: defaultdict[int, list[TokenSampled]] = defaultdict(list)  # not yet sent, by choice

    # ---- whole ----

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The response to a client that does not stream. Needs finished answers."""
        choices = []
        for index, answer in enumerate(answers):
            choice = {"index": index, "message": self._message(answer), "logprobs": chat_logprobs(answer.tokens)}
            choices.append(choice | {"finish_reason": self._reason(answer.finished())})
        ends = [answer.finished() for answer in answers]
        return {
            **self._head,
            "object": "chat.completion",
            "choices": choices,
            "usage": usage_object(sum((end.usage for end in ends), Usage())),
            **(timings_of(ends) if self._include_timings else {}),
        }

    def _message(self, answer: Answer) -> Json:
        message: Json = {"role": "assistant", "content": answer.content or None, "refusal": None}
        if answer.reasoning:
            message["reasoning_content"] = answer.reasoning
        if not answer.tool_calls:
            message["content"] = answer.content
        elif self._function_call:
            call = answer.tool_calls[0]
            message["function_call"] = {"name": call.name, "arguments": call.arguments}
        else:
            message["tool_calls"] = [self._call(call) for call in answer.tool_calls]
        return message

    def _call(self, call: AnsweredCall) -> Json:
        function = {"name": call.name, "arguments": call.arguments}
        repairs = {"x_repairs": list(call.repairs)} if call.repairs and self._report_repairs else {}
        return {"id": call.id, "type": "function", "function": function, **repairs}

    # ---- as a stream ----

    def begin(self, prompt_tokens: int) -> Iterator[StreamEvent]:
        """The chunks that open the answers, unless tools are offered."""
        if not self._offers_tools:
            for choice in range(self._choices):
                yield self._first_chunk(choice, "")

    def add(self, event: AnswerEvent) -> Iterator[StreamEvent]:
        """The chunk that `event` becomes, after the answer's first chunk. Mutates the shape."""
        chunk = self._chunk_of(event)
        if chunk is None:
            return
        choice = event.choice
        is_text = isinstance(event, TextDelta | ToolCallAbandoned)
        unfilled = isinstance(event, Finish) and choice not in self._filled
        if choice not in self._begun:
            yield self._first_chunk(choice, "" if is_text or unfilled else None)
        elif unfilled and self._offers_tools:  # the client has null so far, but an empty answer is ""
            yield self._sent(choice, {"content": ""})
        if is_text or isinstance(event, ToolCallStart):
            self._filled.add(choice)
        yield chunk

    def end(self, usage: Usage) -> Iterator[StreamEvent]:
        """The usage chunk, if the client asked for it."""
        if self._include_usage:
            object_ = "chat.completion.chunk"
            yield StreamEvent({**self._head, "object": object_, "choices": [], "usage": usage_object(usage)})

    def _first_chunk(self, choice: int, content: str | None) -> StreamEvent:
        """The role, once."""
        self._begun.add(choice)
        return self._sent(choice, {"role": "assistant", "content": content})

    def _chunk_of(self, event: AnswerEvent) -> StreamEvent | None:
        choice = event.choice
        if isinstance(event, PromptRead):
            return self._sent(choice, {}, more=progress_of(event)) if self._include_progress else None
        if isinstance(event, AnswerWritten | Finish) and self._include_timings:
            self._timings[choice] = timings_of([event])
        if isinstance(event, AnswerWritten):
            return None
        if isinstance(event, TokenSampled):
            self._tokens[choice].append(event)
            return self._chunk(choice, {}) if len(self._tokens[choice]) >= MAX_TOKENS_HELD else None
        if isinstance(event, Finish):
            return self._chunk(choice, {}, self._reason(event))
        delta = self._delta(event)
        return None if delta is None else self._chunk(choice, delta)

    def _delta(self, event: ParserEvent) -> Json | None:
        if isinstance(event, TextDelta | ToolCallAbandoned):  # an abandoned call is text: nothing may be lost
            return {"content": event.text} if event.text else None
        if isinstance(event, ReasoningDelta):
            return {"reasoning_content": event.text}
        if isinstance(event, ToolCallStart):
            function = {"name": event.name, "arguments": ""}
            if self._function_call:
                return {"function_call": function}
            return {"tool_calls": [{"index": event.index, "id": event.id, "type": "function", "function": function}]}
        if isinstance(event, ToolCallDelta):
            more = {"arguments": event.arguments}
            if self._function_call:
                return {"function_call": more}
            return {"tool_calls": [{"index": event.index, "function": more}]}
        if isinstance(event, ToolCallRepaired):
            if not self._report_repairs or self._function_call:
                return None
            # strict clients want the function in every delta of a call
            call = {"index": event.index, "function": {"arguments": ""}, "x_repairs": list(event.repairs)}
            return {"tool_calls": [call]}
        assert_never(event)

    def _reason(self, finish: Finish) -> str:
        return "function_call" if self._function_call and finish.reason == "tool_calls" else finish.reason

    def _chunk(self, choice: int, delta: Json, finish_reason: str | None = None) -> StreamEvent:
        """A chunk with the log probabilities that wait for one, and the last timings."""
        logprobs = chat_logprobs(self._tokens.pop(choice, ()))
        return self._sent(choice, delta, finish_reason, logprobs, self._timings.get(choice))

    def _sent(
        self,
        index: int,
        delta: Json,
        finish_reason: str | None = None,
        logprobs: Json | None = None,
        more: Json | None = None,
    ) -> StreamEvent:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return StreamEvent({**self._head, "object": "chat.completion.chunk", "choices": [choice], **(more or {})})
