"""A new dialect is one class and one line in the table: with events that have names, its own end, errors and key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import APIRouter, Request
from fastapi.responses import Response
from openai._streaming import SSEDecoder
from pydantic import BaseModel, SecretStr

from chatglm_server.answer import Answer
from chatglm_server.api.dialect import AnswerShape, ErrorReply, Json, Options, StreamEvent
from chatglm_server.api.dialects import DIALECTS
from chatglm_server.api.endpoint import Endpoint
from chatglm_server.api.http.body import JsonRoute
from chatglm_server.chat import AnswerEvent, ChatRequest, Finish, Message, TextDelta, Usage
from chatglm_server.engine.capabilities import Capability
from chatglm_server.errors import ChatGLMServerError
from chatglm_server.sampling import Sampling
from chatglm_server.service import Service
from chatglm_server.settings import Settings
from tests.serving_here import serving

RECORDINGS = '{"raw": "Hello, you!", "format": "glm4", "chunk_size": 4, "delay_ms": 20}\n'
SLOW = '{"raw": "' + "and so on " * 500 + '", "format": "glm4", "chunk_size": 4, "delay_ms": 20}\n'


class Ask(BaseModel):
    """The body of ``POST /parrot/ask``."""

    question: str
    warmth: float | None = None
    luck: int | None = None
    live: bool = False
    of: str | None = None


class ParrotAnswer(AnswerShape):
    """An answer of the parrot."""

    def __init__(self, model: str) -> None:
        self._model = model

    def begin(self, prompt_tokens: int) -> Iterator[StreamEvent]:
        yield StreamEvent({"by": self._model, "of": prompt_tokens}, "squawk_start")

    def add(self, event: AnswerEvent) -> Iterator[StreamEvent]:
        if isinstance(event, TextDelta):
            yield StreamEvent({"words": event.text}, "squawk")
        elif isinstance(event, Finish):
            yield StreamEvent({"because": event.reason}, "squawk_end")

    def waiting(self) -> StreamEvent:
        return StreamEvent({"still": "thinking"}, "hum")

    def end(self, usage: Usage) -> Iterator[StreamEvent]:
        yield StreamEvent({"seeds": usage.completion_tokens}, "bill")

    def whole(self, answers: Sequence[Answer]) -> Json:
        return {"by": self._model, "words": answers[0].content}


class ParrotDialect:
    """The dialect."""

    json_lines = False
    line_end = "\n"
    stream_end = StreamEvent("over and out", "silence")
    key_header = "x-parrot-key"
    any_model = True
    not_shown = frozenset({Capability.CHOICES})

    def owns(self, path: str) -> bool:
        return path.startswith("/parrot")

    def error_reply(self, error: ChatGLMServerError) -> ErrorReply:
        status = 418 if error.status == 400 else error.status
        return ErrorReply(status, self._error(error), {"x-parrot-mood": "bad"})

    def error_event(self, error: ChatGLMServerError) -> StreamEvent:
        return StreamEvent(self._error(error), "squawk_error")

    def router(self, service: Service, options: Options) -> APIRouter:
        endpoint = Endpoint(service.engine, self, options)
        router = APIRouter(prefix="/parrot", route_class=JsonRoute)

        @router.post("/ask")
        async def ask(request: Request, body: Ask) -> Response:
            sampling = Sampling(temperature=body.warmth, seed=body.luck)
            asked = ChatRequest((Message("user", body.question),), sampling=sampling, model=body.of, streamed=body.live)
            return await endpoint.answer(request, asked, ParrotAnswer, self._field)

        return router

    def _error(self, error: ChatGLMServerError) -> Json:
        return {"complaint": error.message, "about": error.param, "kind": error.code}

    def _field(self, noun: str) -> str:
        return {"sampling.temperature": "warmth", "sampling.seed": "luck", "messages": "question"}.get(noun, noun)


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    path = tmp_path / "hello.jsonl"
    path.write_text(RECORDINGS)
    DIALECTS.insert(0, ParrotDialect())
    yield Settings(_env_file=None, model=f"replay:{path}")
    del DIALECTS[0]


def events_of(response: httpx.Response) -> list[tuple[str | None, str]]:
    """Name and data of each event, read by openai-python's decoder."""
    return [(event.event, event.data) for event in SSEDecoder().iter_bytes(response.iter_bytes())]


def ask(url: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{url}/parrot/ask", json={"question": "Who?"} | body, timeout=60)


def test_answers(settings: Settings) -> None:
    with serving(settings) as (url, _):
        assert ask(url).json() == {"by": "hello", "words": "Hello, you!"}
        with httpx.stream("POST", f"{url}/parrot/ask", json={"question": "Who?", "live": True}) as response:
            first, *words, end, bill, silence = events_of(response)
        assert first == ("squawk_start", '{"by":"hello","of":38}')
        assert [name for name, _ in words] == ["squawk"] * 3
        assert end == ("squawk_end", '{"because":"stop"}')
        assert bill == ("bill", '{"seeds":11}')
        assert silence == ("silence", "over and out")


def test_errors_are_in_its_words(settings: Settings) -> None:
    with serving(settings) as (url, _):
        refused = ask(url, luck=5)
        assert (refused.status_code, refused.headers["x-parrot-mood"]) == (418, "bad")
        assert refused.json()["about"] == "luck"
        assert refused.json()["complaint"].startswith("luck: ")
        assert refused.json()["kind"] == "unsupported_parameter"
        assert ask(url, warmth=9).json()["about"] == "warmth"
        assert ask(url, question=5).json()["about"] == "question"
        assert httpx.get(f"{url}/parrot/nest").json()["kind"] == "not_found"
        assert httpx.get(f"{url}/nest").json()["error"]["code"] == "not_found"


def test_an_error_in_the_stream_is_its_last_event(settings: Settings) -> None:
    Path(settings.model.removeprefix("replay:")).write_text(SLOW)
    with serving(settings) as (url, service):
        body = {"question": "Who?", "live": True}
        with httpx.stream("POST", f"{url}/parrot/ask", json=body, timeout=60) as response:
            decoder = SSEDecoder().iter_bytes(response.iter_bytes())
            assert next(decoder).event == "squawk_start"
            assert next(decoder).event == "squawk"
            service.stop()
            last = list(decoder)[-1]
        assert last.event == "squawk_error"
        assert last.json()["kind"] == "server_shutting_down"


def test_it_says_that_it_is_still_there(settings: Settings) -> None:
    Path(settings.model.removeprefix("replay:")).write_text(SLOW)
    body = {"question": "Who?", "live": True}
    with (
        serving(settings.model_copy(update={"keep_alive_s": 0.05})) as (url, _),
        httpx.stream("POST", f"{url}/parrot/ask", json=body, timeout=60) as response,
    ):
        hums = (event for event in SSEDecoder().iter_bytes(response.iter_bytes()) if event.event == "hum")
        assert next(hums).json() == {"still": "thinking"}


def test_it_answers_in_the_name_that_was_asked_for(settings: Settings) -> None:
    with serving(settings) as (url, _):
        assert ask(url, of="parrot-5").json()["by"] == "parrot-5"
    with serving(settings.model_copy(update={"any_model": False})) as (url, _):
        assert ask(url, of="hello").json()["by"] == "hello"
        refused = ask(url, of="parrot-5")
        assert (refused.status_code, refused.json()["kind"]) == (404, "model_not_found")


def test_its_key_header(settings: Settings) -> None:
    settings = settings.model_copy(update={"api_key": SecretStr("sesame")})
    with serving(settings) as (url, _):
        body = {"question": "Who?"}
        for headers, status in (
            ({}, 401),
            ({"x-parrot-key": "wrong"}, 401),
            ({"x-parrot-key": "sesame"}, 200),
            ({"Authorization": "Bearer sesame"}, 200),
        ):
            response = httpx.post(f"{url}/parrot/ask", json=body, headers=headers, timeout=60)
            assert response.status_code == status
        assert httpx.post(f"{url}/parrot/ask", json=body).json()["kind"] == "invalid_api_key"
