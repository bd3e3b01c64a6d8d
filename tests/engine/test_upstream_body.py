"""What goes to another server: every noun of a request, and nothing else."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from chatglm_server.api.openai import parameters
from chatglm_server.chat import (
    ChatRequest,
    ChoiceFormat,
    CompletionRequest,
    GrammarFormat,
    JsonObjectFormat,
    JsonSchemaFormat,
    Message,
    RegexFormat,
    TextFormat,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from chatglm_server.engine.upstream.address import is_openais
from chatglm_server.engine.upstream.body import SPELLINGS, Json, chat_body, completion_body, with_older_limit
from chatglm_server.sampling import NO_LIMIT, Sampling, SamplingParams

ASK = Message("user", "1+2?")
ADD, SUBTRACT = Tool({"name": "add"}), Tool({"name": "subtract"})
CALL = ToolCall("c1", "add", {"a": 1})

EXAMPLES: dict[type, dict[str, object]] = {
    ChatRequest: {
        "messages": (ASK, ASK),
        "tools": (ADD, SUBTRACT, SUBTRACT),
        "tool_choice": ToolChoice("required"),
        "parallel_tool_calls": False,
        "sampling": Sampling(temperature=0.5),
        "choices": 2,
        "thinking": Thinking(enabled=False),
        "response_format": JsonObjectFormat(),
        "continues": True,
        "prediction": "3",
        "background": True,
        "model": "glm-4",
        "streamed": True,
        "foreign_tools": ({"type": "web_search"},),
        "extras": {"metadata": {"a": "b"}},
    },
    CompletionRequest: {
        "prompts": ("another",),
        "sampling": Sampling(temperature=0.5),
        "choices": 2,
        "suffix": "the end",
        "echo": True,
        "best_of": 3,
        "response_format": JsonObjectFormat(),
        "background": True,
        "model": "glm-4",
        "streamed": True,
        "extras": {"user": "eve"},
    },
    Sampling: {
        "temperature": 0.5,
        "top_p": 0.5,
        "top_k": 5,
        "min_p": 0.5,
        "repetition_penalty": 1.5,
        "presence_penalty": 0.5,
        "frequency_penalty": 0.5,
        "logit_bias": ((7, 1.5),),
        "seed": 7,
        "top_logprobs": 2,
        "ignore_eos": True,
        "max_tokens": 5,
        "stop": ("x",),
        "stop_token_ids": (7,),
    },
    Thinking: {"enabled": True, "effort": "high", "clear": True, "budget": 100},
    Message: {
        "role": "system",
        "content": "Hello!",
        "tool_calls": (CALL,),
        "tool_call_id": "c1",
        "reasoning": "Hm.",
        "name": "eve",
        "parts": ({"type": "text", "text": "1+2?"},),
        "extras": {"cache_control": {"type": "ephemeral"}},
    },
    ToolCall: {"id": "c2", "name": "subtract", "arguments": {"a": 2}, "text": '{"a":1}'},
    Tool: {"function": {"name": "subtract"}, "extras": {"cache_control": {"type": "ephemeral"}}},
    ToolChoice: {"mode": "required", "name": "subtract", "allowed": ("subtract",)},
    TextFormat: {},
    JsonObjectFormat: {},
    JsonSchemaFormat: {"schema": {"type": "string"}, "name": "x", "description": "x", "strict": True},
    RegexFormat: {"pattern": "b"},
    ChoiceFormat: {"options": ("a",)},
    GrammarFormat: {"grammar": "b", "syntax": "gbnf"},
}
"""For each field of each noun a value that the noun below does not have."""

NOT_WRITTEN = {"defaults", "input_form", "max_wait_s", "keep_alive_s", "timed"}
"""How engines of our own sample, as another server has its own defaults; what chat completions cannot say of a
function; a limit that goes by our own queue; how long a model of our own stays; and events that only we send."""


def chat(**fields: Any) -> Json:
    return chat_body(ChatRequest(**({"messages": (ASK,), "tools": (ADD, SUBTRACT)} | fields)))


def completion(noun: CompletionRequest) -> Json:
    return completion_body(noun, noun.prompts[0])


BODIES: list[tuple[Any, Callable[[Any], Json]]] = [
    (ChatRequest((ASK,), (ADD, SUBTRACT)), chat_body),
    (CompletionRequest(("one",)), completion),
    (Sampling(), lambda noun: chat(sampling=noun)),
    (Sampling(), lambda noun: completion(CompletionRequest(("one",), noun))),
    (Thinking(), lambda noun: chat(thinking=noun)),
    (ASK, lambda noun: chat(messages=(noun,))),
    (CALL, lambda noun: chat(messages=(Message("assistant", "", (noun,)),))),
    (ADD, lambda noun: chat(tools=(noun,))),
    (ToolChoice("named", "add"), lambda noun: chat(tool_choice=noun)),
    *(
        (noun, lambda noun: chat(response_format=noun))
        for noun in (JsonSchemaFormat({}), RegexFormat("a"), ChoiceFormat(("a", "b")), GrammarFormat("a"))
    ),
]
"""Each noun as it stands, and the body of a request that holds it."""


def unwritten_fields(noun: Any, body: Callable[[Any], Json]) -> list[str]:
    """The fields of `noun` whose value changes nothing in `body`."""
    examples = EXAMPLES[type(noun)]
    names = [field.name for field in dataclasses.fields(noun) if field.name not in NOT_WRITTEN]
    assert names == list(examples), "a noun has a field without an example: add one, and write the field in body.py"
    return [name for name in names if body(dataclasses.replace(noun, **{name: examples[name]})) == body(noun)]


@pytest.mark.parametrize(("noun", "body"), BODIES, ids=lambda value: type(value).__name__)
def test_every_field_is_written(noun: Any, body: Callable[[Any], Json]) -> None:
    assert unwritten_fields(noun, body) == []


def test_a_field_that_is_added_and_not_written_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    extended = dataclasses.make_dataclass(
        "Extended", [("dry_multiplier", float, 0.0)], bases=(Sampling,), frozen=True, slots=True
    )
    monkeypatch.setitem(EXAMPLES, extended, EXAMPLES[Sampling])
    with pytest.raises(AssertionError, match="without an example"):
        unwritten_fields(extended(), lambda noun: chat(sampling=noun))
    monkeypatch.setitem(EXAMPLES, extended, EXAMPLES[Sampling] | {"dry_multiplier": 0.8})
    assert unwritten_fields(extended(), lambda noun: chat(sampling=noun)) == ["dry_multiplier"]


def nouns(hint: object) -> Iterator[type]:
    """The dataclasses in a type, and in the types of their fields."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint) and hint is not SamplingParams:
        yield hint
        for inner in typing.get_type_hints(hint).values():
            yield from nouns(inner)
    elif isinstance(hint, types.UnionType) or typing.get_origin(hint) in (tuple, typing.Union):
        for inner in typing.get_args(hint):
            yield from nouns(inner)


def test_no_noun_is_left_out() -> None:
    found = {*nouns(ChatRequest), *nouns(CompletionRequest)}
    assert found == set(EXAMPLES)
    assert found - {TextFormat, JsonObjectFormat} == {type(noun) for noun, _ in BODIES}


def test_what_the_client_did_not_say_is_not_sent() -> None:
    assert chat_body(ChatRequest((ASK,))) == {"messages": [{"role": "user", "content": "1+2?"}]}
    assert completion(CompletionRequest(("one",))) == {"prompt": "one"}
    assert chat(sampling=Sampling(max_tokens=NO_LIMIT)) == chat()


def test_values_that_turn_something_off_are_sent() -> None:
    sampling = Sampling(temperature=0.0, top_k=0, min_p=0.0, presence_penalty=0.0, seed=0, stop=(), ignore_eos=False)
    body = chat(sampling=sampling, parallel_tool_calls=False, thinking=Thinking(enabled=False), continues=False)
    assert (body["temperature"], body["top_k"], body["min_p"], body["presence_penalty"], body["seed"]) == (
        0,
        0,
        0,
        0,
        0,
    )
    assert (body["stop"], body["ignore_eos"], body["parallel_tool_calls"]) == ([], False, False)
    assert body["chat_template_kwargs"] == {"enable_thinking": False}
    assert body["continue_final_message"] is False


def test_openais_spelling() -> None:
    body = chat(
        sampling=Sampling(top_logprobs=0, logit_bias=((7, -100),), stop=("a", "b")),
        tool_choice=ToolChoice("named", "add"),
        thinking=Thinking(effort="low"),
        response_format=JsonSchemaFormat({"type": "object"}, "x", strict=True),
    )
    assert (body["logprobs"], "top_logprobs" in body) == (True, False)
    assert (body["logit_bias"], body["stop"], body["reasoning_effort"]) == ({"7": -100}, ["a", "b"], "low")
    assert body["tool_choice"] == {"type": "function", "function": {"name": "add"}}
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object"}, "strict": True},
    }
    assert chat(response_format=TextFormat())["response_format"] == {"type": "text"}
    assert completion(CompletionRequest(("one",), Sampling(top_logprobs=0)))["logprobs"] == 0


def test_only_allowed_tools_are_sent() -> None:
    body = chat(tool_choice=ToolChoice("required", allowed=("subtract",)))
    assert (body["tools"], body["tool_choice"]) == (
        [{"type": "function", "function": {"name": "subtract"}}],
        "required",
    )


@pytest.mark.parametrize("streamed", [False, True])
def test_usage_is_asked_for_in_a_stream(streamed: bool) -> None:
    body = chat(streamed=streamed, extras={"stream_options": {"include_obfuscation": False}})
    asked = {"include_obfuscation": False} | ({"include_usage": True} if streamed else {})
    assert (body.get("stream"), body["stream_options"]) == (True if streamed else None, asked)


@pytest.mark.parametrize("spelling", [name for names in SPELLINGS.values() for name in names])
def test_the_clients_own_spelling_replaces_ours(spelling: str) -> None:
    fields: dict[str, Any] = {
        "sampling": Sampling(max_tokens=5),
        "thinking": Thinking(True, "high", True, 100),
        "response_format": JsonObjectFormat(),
        "continues": True,
        "background": True,
    }
    body = chat(**fields, extras={spelling: "as sent"})
    (noun,) = [noun for noun, names in SPELLINGS.items() if spelling in names]
    assert body[spelling] == "as sent"
    assert not (set(SPELLINGS[noun]) - {spelling}) & set(body)
    assert all(set(names) & set(body) for names in SPELLINGS.values())


def test_the_limit_has_the_name_that_every_server_knows() -> None:
    body = chat(sampling=Sampling(max_tokens=5), extras={"max_completion_tokens": 5})
    assert with_older_limit(body) == chat(sampling=Sampling(max_tokens=5))
    for other in (chat(), chat(extras={"max_completion_tokens": 5, "max_tokens": 6})):
        assert with_older_limit(other) == other
    assert [is_openais(f"https://{host}/v1") for host in ("api.openai.com", "x.openai.azure.com")] == [True, True]
    assert not is_openais("https://openai.com.example/v1")


def test_every_spelling_that_the_api_reads_replaces_ours() -> None:
    """Otherwise a backend would be told the same twice, or two things at once."""
    assert {name for names in SPELLINGS.values() for name in names} >= parameters.SPELLINGS
