"""What a request of Anthropic's clients says, in the nouns of chat.py; odd fields are those that Claude Code sends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chatglm_server.api.anthropic.bodies import MessagesBody
from chatglm_server.api.anthropic.errors import messages_error_reply
from chatglm_server.api.openai.bodies import ChatCompletionBody
from chatglm_server.chat import ChatRequest, JsonSchemaFormat, Message, Thinking, ToolChoice
from chatglm_server.engine.capabilities import Capability, check_capabilities
from chatglm_server.errors import (
    ChatGLMServerError,
    ModelFailure,
    NotReady,
    PermissionDenied,
    UnsupportedParameter,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from chatglm_server.sampling import Sampling
from tests.api.messages.test_messages_stream import TOOL
from tests.conftest import WEATHER

CALL = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
THOUGHT = {"type": "thinking", "thinking": "They ask for Paris.", "signature": "unsigned"}
CACHED = {"cache_control": {"type": "ephemeral"}}


def asked(*capabilities: Capability, **body: Any) -> ChatRequest:
    sent = {"messages": [{"role": "user", "content": "Hello!"}]} | body
    return MessagesBody.model_validate(sent).to_request(frozenset(capabilities))


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def messages_of(*messages: tuple[str, Any], system: Any = None) -> tuple[Message, ...]:
    sent = [{"role": role, "content": content} for role, content in messages]
    return asked(messages=sent, system=system).messages


def result(content: Any, id_: str = "toolu_1", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}


def test_the_same_conversation_as_with_openai() -> None:
    """Prompts do not depend on the client's API: both give the engine the same messages, tools and choice."""
    ours = asked(
        system="Be brief.",
        messages=[
            {"role": "user", "content": "Weather?"},
            {"role": "assistant", "content": [THOUGHT, text("I look."), CALL, CALL | {"id": "toolu_2"}]},
            {"role": "user", "content": [result("sunny"), result("rain", "toolu_2"), text("And now?")]},
        ],
        tools=[TOOL],
        tool_choice={"type": "tool", "name": "get_weather", "disable_parallel_tool_use": True},
        max_tokens=5,
        stop_sequences=["x"],
        temperature=0.5,
        top_p=0.9,
        top_k=7,
        model="claude-x",
        stream=True,
    )
    call = {"id": "toolu_1", "type": "function", "function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    theirs = ChatCompletionBody.model_validate(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "Weather?"},
                {
                    "role": "assistant",
                    "content": "I look.",
                    "reasoning_content": "They ask for Paris.",
                    "tool_calls": [call, call | {"id": "toolu_2"}],
                },
                {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"},
                {"role": "tool", "tool_call_id": "toolu_2", "content": "rain"},
                {"role": "user", "content": "And now?"},
            ],
            "tools": [WEATHER],
            "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
            "parallel_tool_calls": False,
            "max_tokens": 5,
            "stop": ["x"],
            "temperature": 0.5,
            "top_p": 0.9,
            "top_k": 7,
            "model": "claude-x",
            "stream": True,
        }
    ).to_request(frozenset())
    assert ours == theirs


@pytest.mark.parametrize(
    ("system", "instructions"),
    [
        (None, None),
        ("", None),
        ("Be brief.", "Be brief."),
        ([text("You are Claude Code.", **CACHED), text("Be brief.")], "You are Claude Code.\nBe brief."),
        ([text("x-anthropic-billing-header: cch=0f3a9;"), text("Be brief.")], "Be brief."),
        ([text("x-anthropic-billing-header: cc_version=2;")], None),
    ],
)
def test_instructions(system: Any, instructions: str | None) -> None:
    head = [Message("system", instructions)] if instructions else []
    assert list(messages_of(("user", "Hi"), system=system)) == [*head, Message("user", "Hi")]


def test_a_moving_cache_mark_changes_nothing() -> None:
    marked = messages_of(("user", [text("a", **CACHED)]), ("assistant", "b"), ("user", [text("c")]))
    assert marked == messages_of(("user", "a"), ("assistant", [text("b")]), ("user", [text("c", **CACHED)]))
    assert asked(tools=[TOOL | CACHED]).tools == asked(tools=[TOOL]).tools


def test_roles_in_the_middle() -> None:
    """Claude Code's system messages stay in their place; an unknown role is the user."""
    read = messages_of(("user", "a"), ("system", [text("b")]), ("critic", "c"))
    assert read == (Message("user", "a"), Message("system", "b"), Message("user", "c"))


@pytest.mark.parametrize(
    ("block", "content"),
    [
        (result("sunny"), "sunny"),
        (result([text("a"), text("b")]), "a\nb"),
        (result([text("a"), {"type": "image", "source": {}}]), "a\n[image]"),
        ({"type": "tool_result", "tool_use_id": "toolu_1"}, ""),
        (result("no such city", is_error=True), "Error: no such city"),
        (result("<tool_use_error>no such city", is_error=True), "<tool_use_error>no such city"),
    ],
)
def test_results(block: dict[str, Any], content: str) -> None:
    *_, answered = messages_of(("assistant", [CALL]), ("user", [block]))
    assert answered == Message("tool", content, tool_call_id="toolu_1")


def test_results_stand_before_the_message_and_orphans_are_part_of_it() -> None:
    read = messages_of(("assistant", [CALL]), ("user", [text("a"), result("b", "lost"), result("c"), text("d")]))
    assert read[1:] == (Message("tool", "c", tool_call_id="toolu_1"), Message("user", "a\nb\nd"))


def test_blocks_of_other_servers_in_earlier_answers() -> None:
    blocks = [{"type": "redacted_thinking", "data": "x"}, {"type": "server_tool_use", "id": "1"}, text("a"), text("b")]
    assert messages_of(("assistant", blocks), ("user", "c"))[0] == Message("assistant", "ab")


@pytest.mark.parametrize("signature", ["", "EqQBCkYIB", "thought:", "thought:%", "thought:/w==", "thought:YQ"])
def test_signatures_are_never_refused(signature: str) -> None:
    block = {"type": "thinking", "thinking": "", "signature": signature}
    assert messages_of(("assistant", [block, text("a")]), ("user", "b"))[0] == Message("assistant", "a")


def test_images_go_to_servers_that_read_them() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    content = [text("a"), {"type": "image", "source": source}]
    (message,) = asked(Capability.FOREIGN_CONVERSATION, messages=[{"role": "user", "content": content}]).messages
    assert message.parts == (
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    )


def test_tools_of_other_servers_are_left_out() -> None:
    read = asked(tools=[{"type": "web_search_20250305", "name": "web_search"}, TOOL | {"type": "custom"}])
    assert read.tools == asked(tools=[TOOL]).tools
    extras = {"strict": True, "input_examples": [{}], "defer_loading": True, "eager_input_streaming": True}
    (tool,) = asked(tools=[TOOL | extras]).tools
    assert tool.function == WEATHER["function"] | {"strict": True}


@pytest.mark.parametrize(
    ("choice", "noun"),
    [
        (None, ToolChoice()),
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "get_weather"}, ToolChoice("named", "get_weather")),
    ],
)
def test_tool_choice(choice: Any, noun: ToolChoice) -> None:
    read = asked(tools=[TOOL], tool_choice=choice)
    assert (read.tool_choice, read.parallel_tool_calls) == (noun, None)


@pytest.mark.parametrize(
    ("body", "thinking"),
    [
        ({}, Thinking()),
        ({"thinking": {"type": "disabled"}}, Thinking(enabled=False)),
        ({"thinking": {"type": "adaptive"}}, Thinking(effort="high")),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Thinking(effort="high")),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, Thinking(effort="max")),
        ({"output_config": {"effort": "low"}}, Thinking(effort="low")),
    ],
    ids=str,
)
def test_thinking(body: dict[str, Any], thinking: Thinking) -> None:
    assert asked(**body).thinking == thinking
    config = body.get("thinking", {})
    budgeted = asked(Capability.THINKING_BUDGET, **body).thinking
    assert budgeted == replace(thinking, budget=config.get("budget_tokens"))


@pytest.mark.parametrize(
    ("keep", "kept"), [("all", True), ({"type": "all"}, True), ({"type": "thinking_turns", "value": 1}, False)]
)
def test_thoughts_stay_if_the_client_keeps_all(keep: Any, kept: bool) -> None:
    edits = {"edits": [{"type": "clear_thinking_20251015", "keep": keep}]}
    clear = False if kept else None
    assert asked(Capability.KEEP_THOUGHTS, context_management=edits).thinking == Thinking(clear=clear)
    off = {"thinking": {"type": "disabled"}, "context_management": edits}
    assert asked(Capability.KEEP_THOUGHTS, **off).thinking == Thinking(enabled=False, clear=clear)
    assert asked(context_management=edits).thinking == Thinking()
    for odd in (5, {"edits": 5}, {"edits": [5, {"type": 5}]}):
        assert asked(Capability.KEEP_THOUGHTS, context_management=odd).thinking == Thinking()


def test_what_else_a_request_may_say() -> None:
    read = asked(
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
        metadata={"user_id": "x"},
        betas=["x"],
        anything=1,
    )
    assert read.response_format == JsonSchemaFormat({"type": "object"})
    assert (read.sampling, read.continues, read.extras) == (Sampling(), None, {})


def test_an_answer_that_is_begun_is_continued() -> None:
    messages = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert asked(messages=messages).continues
    with pytest.raises(UnsupportedParameter, match="end with the user's"):
        check_capabilities(asked(messages=messages), frozenset())
    assert MessagesBody.model_validate({"messages": messages}).to_request(frozenset(), counted=True).continues is None


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (NotReady("x"), 529, "overloaded_error"),
        (PermissionDenied("x"), 403, "permission_error"),
        (ModelFailure("x"), 500, "api_error"),
        (UpstreamUnreachable("x"), 502, "api_error"),
        (UpstreamTimeout("x"), 504, "timeout_error"),
        (UpstreamError("x", status=422), 422, "invalid_request_error"),
    ],
)
def test_errors_by_the_names_of_the_api(error: ChatGLMServerError, status: int, kind: str) -> None:
    reply = messages_error_reply(error)
    assert (reply.status, reply.body["error"]) == (status, {"type": kind, "message": "x"})
