"""Requests of a self-test: each answer is judged by the rules that hold for all answers."""

from __future__ import annotations

from typing import Any

from .answer import Answer, joined_answer, whole_answer
from .report import Report
from .stream_rules import STREAM_RULES, error_in, judge_no_usage, judge_usage
from .whole_rules import WHOLE_RULES, judge_arguments, judge_reason, judge_text
from .wire import NoAnswer, Reply, Server

_LONGEST_ANSWER = 512
"""Tokens: enough for a short thought and a call, and not too many for a slow machine."""


class Session:
    """A server under test, the model to ask for, and the report. `context_length` is 0 if the server does not say."""

    def __init__(self, server: Server, model: str, context_length: int, report: Report) -> None:
        self.server = server
        self.context_length = context_length
        self.report = report
        self._model = model

    def body(self, fields: dict[str, Any]) -> dict[str, Any]:
        """A request's body: greedy and of bounded length, unless `fields` say otherwise."""
        limited = "max_tokens" in fields or "max_completion_tokens" in fields
        limit = {} if limited else {"max_tokens": _LONGEST_ANSWER}
        return {"model": self._model, "temperature": 0, **limit, **fields}

    async def whole(self, name: str, fields: dict[str, Any]) -> tuple[Any, Answer] | None:
        """The JSON of a whole answer and what it says, judged; None if there is no answer."""
        reply = await self.reply(name, self.body(fields))
        if reply is None:
            return None
        if reply.status != 200 or reply.value is None:
            self.report.judge("answered", name, _refusal(reply))
            return None
        self.report.judge("answered", name, "")
        for rule, check in WHOLE_RULES.items():
            self.report.judge(rule, name, check(reply.value))
        answer = whole_answer(reply.value)
        self._judge_answer(name, fields, answer)
        return reply.value, answer

    async def stream(self, name: str, fields: dict[str, Any]) -> Answer | None:
        """Judges a streamed answer, and returns it; None if the server gave none."""
        name = f"{name}, streamed"
        try:
            stream = await self.server.stream(self.body(fields))
        except NoAnswer as error:
            self.report.judge("answered", name, str(error))
            return None
        if stream.status != 200:
            self.report.judge("answered", name, f"status {stream.status}")
            return None
        error_event = error_in(stream)
        self.report.judge("answered", name, error_event)
        if error_event:
            return None
        for rule, check in STREAM_RULES.items():
            self.report.judge(rule, name, check(stream))
        asked = "stream_options" in fields
        rule = "usage-asked" if asked else "usage-unasked"
        self.report.judge(rule, name, judge_usage(stream) if asked else judge_no_usage(stream))
        answer = joined_answer(stream)
        self._judge_answer(name, fields, answer)
        return answer

    async def reply(self, name: str, body: dict[str, Any] | bytes) -> Reply | None:
        """The response to a body as it stands; None if there is none."""
        try:
            return await self.server.post(body)
        except NoAnswer as error:
            self.report.judge("answered", name, str(error))
            return None

    def _judge_answer(self, name: str, fields: dict[str, Any], answer: Answer) -> None:
        may_call = fields.get("tools") and fields.get("tool_choice") != "none"
        tools = [tool["function"]["name"] for tool in fields["tools"]] if may_call else []
        self.report.judge("finish-reason", name, judge_reason(answer))
        self.report.judge("call-arguments", name, judge_arguments(answer))
        self.report.judge("not-as-text", name, judge_text(answer, tools))


def _refusal(reply: Reply) -> str:
    if reply.status == 200:
        return "the response is no JSON"
    error = reply.value.get("error") if isinstance(reply.value, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return f"status {reply.status}" + (f": {str(message)[:120]}" if message else "")
