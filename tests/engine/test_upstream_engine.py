"""The parts between another server and the events of an answer, by themselves."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatglm_server.answer import Answer
from chatglm_server.chat import Accepted, ChatRequest, Event, Message, Tool, ToolCall, ToolCallStart
from chatglm_server.engine.upstream import client as upstream_client
from chatglm_server.engine.upstream.answer import UpstreamAnswer
from chatglm_server.engine.upstream.body import chat_body
from chatglm_server.engine.upstream.client import UpstreamClient
from chatglm_server.engine.upstream.text_formats import plain_reader
from chatglm_server.engine.upstream.text_tools import text_messages
from chatglm_server.errors import ShuttingDown, UpstreamError, UpstreamFailure, UpstreamTimeout
from chatglm_server.formats.registry import FORMATS
from chatglm_server.sampling import Sampling
from tests.conftest import ADD
from tests.raw_backend import UNTIL_THE_CLIENT_LEAVES, RawBackend, stream, text

FIELDS = st.sampled_from(
    (
        *("choices", "delta", "message", "content", "reasoning", "refusal", "tool_calls", "function", "name"),
        *("arguments", "index", "id", "type", "usage", "model", "finish_reason", "text", "prompt_tokens"),
        *("completion_tokens", "prompt_tokens_details", "cached_tokens", "logprobs", "tokens", "token", "logprob"),
        *("top_logprobs", "token_logprobs", "bytes"),
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats() | st.sampled_from(["", "x", "f", "stop", "function"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)


def plain(choices: int = 1) -> UpstreamAnswer:
    return UpstreamAnswer(lambda model, thoughts_came: plain_reader(), choices, reports_tokens=True)


def end(*choices: int) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": {}, "finish_reason": "stop"} for index in choices]}


@given(st.lists(st.dictionaries(FIELDS, JSON) | JSON.map(lambda value: {"choices": [{"delta": value}]}), max_size=5))
@example([{"choices": [{"delta": {"tool_calls": [{"index": at, "function": {"name": "f"}}]}}]} for at in (0, 1)])
@example([{"choices": [{"logprobs": {"content": [{"token": "x", "logprob": 10**400, "bytes": [1, "x"]}]}}]}])
@example([{"choices": [{"logprobs": {"tokens": ["x", 1], "token_logprobs": "x", "top_logprobs": [1]}}]}])
def test_any_json_is_an_answer_or_a_failure(chunks: list[dict[str, Any]]) -> None:
    answer = plain(choices=2)
    events: list[Event] = []
    try:
        for chunk in chunks:
            events += answer.feed(chunk)
        events += answer.feed(end(0, 1))
        events += answer.finish()
    except UpstreamFailure:
        return
    for choice in range(2):
        own = [event for event in events if not isinstance(event, Accepted) and event.choice == choice]
        folded = Answer.of(own)
        starts = [event.index for event in own if isinstance(event, ToolCallStart)]
        assert starts == list(range(len(starts)))
        assert all(call.id and call.name for call in folded.tool_calls)
        assert (folded.finished().reason == "tool_calls") <= bool(folded.tool_calls)
        assert folded.finished().usage + folded.finished().usage


def test_arguments_without_a_name_are_not_lost() -> None:
    answer = plain()
    answer.feed({"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": '{"x": 1}'}}]}}]})
    answer.feed(end(0))
    folded = Answer.of(answer.finish())
    assert folded.content == '{"x": 1}'
    assert folded.finished().reason == "stop"


@pytest.mark.parametrize(("ended", "says"), [((), "broke off"), ((1,), "1 of 2 answers")], ids=str)
def test_a_choice_that_does_not_end_is_a_failure(ended: tuple[int, ...], says: str) -> None:
    answer = plain(choices=2)
    answer.feed(end(*ended))
    with pytest.raises(UpstreamFailure, match=says):
        answer.finish()


def test_requests_that_came_another_way_than_openai() -> None:
    """GLM-API's clients send no OpenAI body, so one is made."""
    call = ToolCall("c1", "add", {"a": 1})
    messages = (Message("user", "你好"), Message("assistant", "", (call,)), Message("tool", "3", tool_call_id="c1"))
    request = ChatRequest(messages, (Tool(ADD["function"]),), sampling=Sampling(max_tokens=5, stop=("x",)))  # type: ignore[arg-type]
    body = chat_body(request)
    assert body["messages"] == [
        {"role": "user", "content": "你好"},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "content": "3", "tool_call_id": "c1"},
    ]
    assert (body["tools"], body["max_tokens"], body["stop"]) == ([ADD], 5, ["x"])


@pytest.mark.parametrize("name", [name for name, chat_format in FORMATS.items() if chat_format.supports_tools])
def test_a_conversation_as_text_has_no_marks_of_a_prompt(name: str) -> None:
    """Every format: whose turn it is stands in the roles, and the answer's beginning is left to the backend."""
    messages = [
        Message("system", "Be short."),
        Message("user", "1+2?"),
        Message("assistant", "I add.", (ToolCall("c1", "add", {"a": 1, "b": 2}),)),
        Message("tool", "3", tool_call_id="c1"),
        Message("assistant", "It is 3."),
        Message("user", "Thanks."),
    ]
    result = text_messages(FORMATS[name], messages, [Tool(ADD["function"])])  # type: ignore[arg-type]
    assert [message["role"] for message in result] == ["system", "user", "assistant", "user", "assistant", "user"]
    joined = "\n".join(message["content"] for message in result)
    for mark in ("[gMASK]", "sop", "<|user|>", "<|assistant|>", "<|system|>", "think>"):
        assert mark not in joined
    assert '"add"' in result[0]["content"]
    assert result[0]["content"].endswith("Be short.")
    assert result[2]["content"].startswith("I add.")
    assert "add" in result[2]["content"]
    assert result[3]["content"].startswith("<|observation|>")
    assert result[4]["content"] == "It is 3."
    assert result[5]["content"] == "Thanks."


def test_an_answer_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_client, "MAX_STREAM_BYTES", 2000)

    async def read(address: str) -> int:
        client, count = UpstreamClient(address, None, 30), 0
        with pytest.raises(UpstreamFailure, match="longer than 2000 bytes"):
            async with client.stream("/chat/completions", {}) as chunks:
                async for _ in chunks:
                    count += 1
        await client.close()
        return count

    with RawBackend() as backend:
        backend.play(stream(*text("x" * 1000), UNTIL_THE_CLIENT_LEAVES))
        assert 0 <= asyncio.run(read(backend.address)) < 1000
        assert backend.left.wait(10)


HEADS_WITHOUT_END = {
    "a line at a time": itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.cycle([b"X: x\r\n", 0.1])),
    "interim responses": itertools.cycle([b"HTTP/1.1 102 Processing\r\n\r\n"]),
}


@pytest.mark.parametrize("kind", HEADS_WITHOUT_END)
def test_a_head_without_end(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The server is never silent, and never answers."""
    monkeypatch.setattr(upstream_client, "CONNECT_S", 0.5)
    assert isinstance(failure_of(HEADS_WITHOUT_END[kind]), UpstreamTimeout)


def test_an_error_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_client, "ERROR_S", 0.5)
    head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000000\r\n\r\n"
    error = failure_of(itertools.chain([head], itertools.cycle([b"x", 0.1])))
    assert isinstance(error, UpstreamError)
    assert error.status == 503


def failure_of(script: Iterable[object]) -> Exception:
    """What a request to a backend that plays `script` ends with, once the connection is closed."""

    async def ask(address: str) -> Exception:
        client = UpstreamClient(address, None, 0.5)
        try:
            with pytest.raises((UpstreamError, UpstreamTimeout)) as raised:
                async with client.stream("/chat/completions", {}) as chunks:
                    async for _ in chunks:
                        pass
        finally:
            await client.close()
        return raised.value

    with RawBackend() as backend:
        backend.play(script)
        error = asyncio.run(ask(backend.address))
        assert backend.left.wait(10)
    return error


def test_stop_ends_every_wait() -> None:
    async def read(address: str) -> None:
        client = UpstreamClient(address, None, 600)

        async def one() -> None:
            async with client.stream("/chat/completions", {}):
                raise AssertionError("the backend never answers")

        waiting = [asyncio.create_task(one()) for _ in range(3)]
        while len(backend.requests) < 3:  # noqa: ASYNC110 (the backend lives in another thread)
            await asyncio.sleep(0.01)
        client.stop()
        results = await asyncio.gather(*waiting, one(), return_exceptions=True)
        assert [type(result) for result in results] == [ShuttingDown] * 4
        await client.close()

    with RawBackend() as backend:
        backend.play([UNTIL_THE_CLIENT_LEAVES])
        asyncio.run(read(backend.address))
