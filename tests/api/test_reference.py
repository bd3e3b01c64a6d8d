"""``/openapi.json`` says what requests may hold and what answers are, and real answers fit it."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from chatglm_server.api.openai.schemas import ChatCompletionObject, ModelList, TextCompletionObject
from tests.conftest import WEATHER
from tests.serving import RunningServer, user

CALL: dict[str, Any] = {"messages": user("What is the weather in Paris?"), "temperature": 0, "max_tokens": 40}


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/v1/chat/completions", CALL | {"tools": [WEATHER]}, ChatCompletionObject),
        ("/v1/chat/completions", CALL | {"functions": [WEATHER["function"]]}, ChatCompletionObject),
        ("/v1/chat/completions", CALL | {"n": 2, "logprobs": True, "top_logprobs": 2}, ChatCompletionObject),
        ("/v1/completions", {"prompt": ["a", "b"], "logprobs": 2, "max_tokens": 3}, TextCompletionObject),
        ("/v1/completions", {"prompt": "a"}, TextCompletionObject),
    ],
)
def test_answers_fit_the_reference(
    server: RunningServer, path: str, body: dict[str, Any], kind: type[BaseModel]
) -> None:
    answer = server.post(path, json=body)
    kind.model_validate_json(answer.content, strict=True)


def test_the_list_of_models_fits_the_reference(server: RunningServer) -> None:
    ModelList.model_validate_json(httpx.get(f"{server.url}/v1/models").content, strict=True)


def test_the_reference_names_what_there_is(server: RunningServer) -> None:
    reference = httpx.get(f"{server.url}/openapi.json").json()
    chat = reference["paths"]["/v1/chat/completions"]["post"]
    answer = chat["responses"]["200"]["content"]
    assert answer["application/json"]["schema"]["$ref"].endswith("/ChatCompletionObject")
    assert "text/event-stream" in answer
    schemas = reference["components"]["schemas"]
    fields = schemas["ChatCompletionBody"]["properties"]
    assert "SystemMessage" in str(fields["messages"])
    assert {"tools", "tool_choice", "response_format", "reasoning_effort", "max_completion_tokens"} <= set(fields)
    assert schemas["ErrorObject"]["required"] == ["message", "type", "param", "code"]
