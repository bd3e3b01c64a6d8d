"""Log probabilities on the wire: OpenAI's two shapes, whole and streamed, and what clients make of them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from langchain_openai import OpenAI as LangChainOpenAI
from openai import OpenAI
from pydantic import SecretStr

from chatglm_server.answer import Answer
from chatglm_server.api.openai.logprobs import TextLogprobs, chat_logprobs
from chatglm_server.chat import (
    Finish,
    ReasoningDelta,
    TextDelta,
    TokenLogprob,
    TokenSampled,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from tests.api.test_wire import chunks_of
from tests.conftest import WEATHER
from tests.serving import RunningServer, user

HELLO: dict[str, Any] = {"messages": user("Hello!"), "temperature": 0, "logprobs": True, "top_logprobs": 20}
CALL = HELLO | {"messages": user("What is the weather in Paris?"), "tools": [WEATHER]}
FORCED = CALL | {"tool_choice": "required"}
UNSURE = HELLO | {"temperature": 1.5, "seed": 3, "n": 2, "max_tokens": 40}
BODIES = {"hello": HELLO, "call": CALL, "forced": FORCED, "unsure": UNSURE}
BARE: dict[str, Any] = {"prompt": ["The weather", "天气"], "max_tokens": 12, "temperature": 0, "logprobs": 3}


def entries(server: RunningServer, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The tokens of the first answer of a chat."""
    answer: list[dict[str, Any]] = server.post(json=body).json()["choices"][0]["logprobs"]["content"]
    return answer


def test_shape_of_a_chat(server: RunningServer) -> None:
    answer = server.post(json=HELLO).json()
    (choice,) = answer["choices"]
    assert choice["logprobs"].keys() == {"content", "refusal"}
    assert choice["logprobs"]["refusal"] is None
    for entry in choice["logprobs"]["content"]:
        assert entry.keys() == {"token", "logprob", "bytes", "top_logprobs"}
        assert len(entry["top_logprobs"]) == 20
        for one in (entry, *entry["top_logprobs"]):
            assert bytes(one["bytes"]).decode(errors="backslashreplace") == one["token"]
            assert one["logprob"] <= 0
    written = b"".join(bytes(entry["bytes"]) for entry in choice["logprobs"]["content"]).decode()
    assert written.strip() == choice["message"]["content"]
    assert len(choice["logprobs"]["content"]) == answer["usage"]["completion_tokens"] - 1, "all but the end token"


def test_the_likeliest_come_first_and_are_nearly_all_where_the_model_is_sure(server: RunningServer) -> None:
    for entry in entries(server, HELLO):
        logprobs = [one["logprob"] for one in entry["top_logprobs"]]
        assert logprobs == sorted(logprobs, reverse=True)
        assert (entry["token"], entry["logprob"]) == (entry["top_logprobs"][0]["token"], logprobs[0]), "greedy"
        assert 0.95 < sum(map(math.exp, logprobs)) < 1 + 1e-5


@pytest.mark.parametrize("top", [None, 0, 1, 5])
def test_as_many_as_were_asked_for(server: RunningServer, top: int | None) -> None:
    assert {len(entry["top_logprobs"]) for entry in entries(server, HELLO | {"top_logprobs": top})} == {top or 0}


def test_none_unless_asked_for(server: RunningServer) -> None:
    assert server.post(json=HELLO | {"logprobs": False, "top_logprobs": 0}).json()["choices"][0]["logprobs"] is None
    assert server.post("/v1/completions", json=BARE | {"logprobs": False}).json()["choices"][0]["logprobs"] is None


def test_they_are_the_models_own(server: RunningServer) -> None:
    """Neither temperature nor penalties nor bias change what is reported, only what is drawn."""
    body = HELLO | {"max_tokens": 1}
    (plain,) = entries(server, body)
    other = plain["top_logprobs"][5]
    changes = {"temperature": 2, "seed": 1, "presence_penalty": 2, "logit_bias": {"0": 50}}
    (drawn,) = entries(server, body | changes)
    assert drawn["top_logprobs"] == plain["top_logprobs"]
    assert all(one["logprob"] >= drawn["logprob"] for one in drawn["top_logprobs"] if one["token"] != drawn["token"])
    assert other["logprob"] < plain["logprob"]


def test_calls_have_them_too(server: RunningServer) -> None:
    written = "".join(entry["token"] for entry in entries(server, CALL))
    assert "get_weather" in written
    assert "Paris" in written


def test_what_had_to_come_is_certain(server: RunningServer) -> None:
    forced = entries(server, FORCED)
    assert forced[0]["logprob"] == 0
    assert forced[0]["top_logprobs"] == []
    assert forced[-1]["top_logprobs"]


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_stream_joins_to_the_whole_answer(server: RunningServer, body: dict[str, Any]) -> None:
    whole = server.post(json=body).json()["choices"]
    joined: dict[int, list[Any]] = {choice["index"]: [] for choice in whole}
    for chunk in chunks_of(server.stream(body)):
        (choice,) = chunk["choices"]
        assert "logprobs" in choice
        joined[choice["index"]] += (choice["logprobs"] or {"content": []})["content"]
    assert joined == {choice["index"]: choice["logprobs"]["content"] for choice in whole}


def test_tokens_come_with_the_text_they_make(server: RunningServer) -> None:
    sent = [chunk["choices"][0] for chunk in chunks_of(server.stream(HELLO))]
    told, text = "", ""
    for choice in sent:
        told += "".join(entry["token"] for entry in (choice["logprobs"] or {"content": []})["content"])
        text += choice["delta"].get("content") or ""
        assert told.strip().startswith(text.strip())
    assert sum(choice["logprobs"] is not None for choice in sent) > 3, "not all at the end"


def test_shape_of_a_bare_completion(server: RunningServer) -> None:
    for choice in server.post("/v1/completions", json=BARE).json()["choices"]:
        logprobs = choice["logprobs"]
        assert logprobs.keys() == {"tokens", "token_logprobs", "top_logprobs", "text_offset"}
        assert len({len(values) for values in logprobs.values()}) == 1
        assert "".join(logprobs["tokens"]) == choice["text"]
        for place, (token, offset) in enumerate(zip(logprobs["tokens"], logprobs["text_offset"], strict=True)):
            assert choice["text"][offset:].startswith(token)
            top = logprobs["top_logprobs"][place]
            assert len(top) == 3
            assert top[token] == logprobs["token_logprobs"][place] == max(top.values()), "greedy"


def test_the_token_that_was_drawn_is_always_among_them(server: RunningServer) -> None:
    """OpenAI's reference: up to logprobs+1 elements."""
    body = BARE | {"prompt": [5, 300, 77, 1200, 9], "temperature": 2, "top_k": 0, "seed": 1, "max_tokens": 30}
    for count in (0, 3):
        logprobs = server.post("/v1/completions", json=body | {"logprobs": count}).json()["choices"][0]["logprobs"]
        sizes = set()
        for token, top in zip(logprobs["tokens"], logprobs["top_logprobs"], strict=True):
            assert token in top
            sizes.add(len(top))
        assert sizes <= {count, count + 1}
        assert count + 1 in sizes


def test_bare_completion_stream_joins_to_the_whole_answer(server: RunningServer) -> None:
    joined: dict[int, dict[str, list[Any]]] = {}
    for chunk in chunks_of(server.stream(BARE, "/v1/completions")):
        (choice,) = chunk["choices"]
        for name, values in (choice["logprobs"] or {}).items():
            joined.setdefault(choice["index"], {}).setdefault(name, []).extend(values)
    whole = server.post("/v1/completions", json=BARE).json()["choices"]
    assert joined == {choice["index"]: choice["logprobs"] for choice in whole}


def test_impossible_tokens_have_a_figure_that_json_can_hold() -> None:
    never = TokenLogprob("never", b"never", -math.inf)
    broken = TokenLogprob("broken", b"broken", math.nan)
    event = TokenSampled(never, (broken,))
    text = TextLogprobs()
    text.add(event)
    for shape in (chat_logprobs([event]), text.taken()):
        figures = json.dumps(shape, allow_nan=False)
        assert figures.count("-9999.0") >= 2


def test_openai_stream_helper(client: OpenAI) -> None:
    """openai-python's own accumulator."""
    asked: dict[str, Any] = {
        "model": "demo",
        "messages": user("Hello!"),
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 2,
    }
    with client.chat.completions.stream(**asked) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "logprobs.content.delta" in kinds
    whole = client.chat.completions.create(**asked)
    assert final.choices[0].logprobs == whole.choices[0].logprobs
    assert final.choices[0].logprobs is not None
    assert final.choices[0].logprobs.content


@pytest.mark.parametrize("streaming", [False, True])
def test_langchain_chat(server: RunningServer, streaming: bool) -> None:
    model = ChatOpenAI(
        model="demo",
        base_url=f"{server.url}/v1",
        api_key=SecretStr("none"),
        temperature=1.5,
        seed=1,
        logprobs=True,
        top_logprobs=2,
        n=1 if streaming else 2,  # LangChain streams one answer only
        streaming=streaming,
    )
    (answers,) = model.generate([[HumanMessage("Hello!")]]).generations
    assert len(answers) == (1 if streaming else 2)
    for answer in answers:
        content = answer.message.response_metadata["logprobs"]["content"]  # type: ignore[union-attr]
        assert answer.text
        assert answer.text in "".join(entry["token"] for entry in content)
        assert {len(entry["top_logprobs"]) for entry in content} == {2}


def test_langchain_completions(server: RunningServer) -> None:
    model = LangChainOpenAI(
        model="demo", base_url=f"{server.url}/v1", api_key=SecretStr("none"), logprobs=2, n=2, best_of=1, max_tokens=8
    )
    (answers,) = model.generate(["The weather"]).generations
    assert len(answers) == 2
    for answer in answers:
        assert answer.generation_info is not None
        assert "".join(answer.generation_info["logprobs"]["tokens"]) == answer.text


def test_tokens_of_thoughts_and_calls_are_not_of_the_text() -> None:
    """Nor the mark behind a thought and the blanks there; text that was held back brings all its tokens."""

    def token(text: str) -> TokenSampled:
        return TokenSampled(TokenLogprob(text, text.encode(), -1.0))

    answer = Answer.of(
        [
            *(token("Hm"), ReasoningDelta("Hm"), token("</think>"), token("\n"), token("I"), TextDelta("I")),
            *(token(" lo"), token("ok"), TextDelta(" look"), token("<tool_call>"), token("f")),
            *(ToolCallStart(0, "a", "f"), token("{}"), ToolCallDelta(0, "{}"), token("!"), TextDelta("!"), token("\n")),
            Finish("stop", Usage()),
        ]
    )
    assert [one.sampled.token for one in answer.text_tokens] == ["I", " lo", "ok", "!"]
    assert len(answer.tokens) == 11
