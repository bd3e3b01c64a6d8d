"""``/openapi.json`` says what requests may hold and what answers are, with examples; real answers fit it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import api_examples
import httpx
import pytest
from fastapi.openapi.models import OpenAPI
from jsonschema import Draft202012Validator

from chatglm_server.api.api_schema import STREAMS, recorded_examples, stream_type
from chatglm_server.settings import Settings
from tests.conftest import WEATHER
from tests.serving import RunningServer, user
from tests.serving_here import serving

EXAMPLES = recorded_examples()
CALL: dict[str, Any] = {"messages": user("What is the weather in Paris?"), "temperature": 0, "max_tokens": 40}


class Reference:
    """The schema of a server's API."""

    def __init__(self, url: str) -> None:
        self.schema: dict[str, Any] = httpx.get(f"{url}/openapi.json", timeout=60).json()
        self._validators: dict[str, Draft202012Validator] = {}

    def operations(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each operation, such as "POST /v1/messages"."""
        for path, methods in self.schema["paths"].items():
            for method, operation in methods.items():
                yield f"{method.upper()} {path}", operation

    def content(self, operation: str, status: int = 200) -> dict[str, Any]:
        """The kinds of content that the response may have."""
        found: dict[str, Any] = dict(self.operations())[operation]["responses"][str(status)]["content"]
        return found

    def check(self, value: object, schema: dict[str, Any]) -> None:
        """Raises: AssertionError."""
        key = json.dumps(schema)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator(schema | {"components": self.schema["components"]})
        faults = [f"{fault.json_path}: {fault.message}" for fault in self._validators[key].iter_errors(value)]
        assert not faults, (faults[:3], value)

    def check_answer(self, operation: str, example: dict[str, Any]) -> None:
        """An answer against its schema, a stream event by event. Raises: AssertionError."""
        content, path = self.content(operation), operation.split(" ")[1]
        if "answer" in example:
            self.check(example["answer"], content["application/json"]["schema"])
        elif path in STREAMS:
            schema = content[stream_type(path)]["schema"]
            lines = [line.removeprefix("data: ") for line in example["text"].splitlines()]
            events = [json.loads(line) for line in lines if line.startswith("{")]
            assert len(events) > 1
            for event in events:
                self.check(event, schema)
        else:
            self.check(example["text"], content["text/plain"]["schema"])


@pytest.fixture(scope="module")
def reference(embedding_server: RunningServer) -> Reference:
    return Reference(embedding_server.url)


@pytest.mark.parametrize(("operation", "name"), [(one, name) for one in EXAMPLES for name in EXAMPLES[one]])
def test_examples_are_answers(embedding_server: RunningServer, reference: Reference, operation: str, name: str) -> None:
    example = EXAMPLES[operation][name]
    answered = api_examples.answer(embedding_server.url, operation, example)
    reference.check_answer(operation, answered)
    reference.check_answer(operation, example)
    if operation.split(" ")[1] not in ("/health", "/metrics"):  # their fields depend on what was asked before
        assert api_examples.fields(answered) == api_examples.fields(example), "run python scripts/api_examples.py"


def test_every_operation_is_described(reference: Reference) -> None:
    OpenAPI.model_validate(reference.schema)
    for name, operation in reference.operations():
        for status, response in operation["responses"].items():
            for content in response["content"].values():
                assert content["schema"], (name, status)
                assert content.get("examples"), (name, status)
                for example in content.get("examples", {}).values():
                    if int(status) >= 400:
                        reference.check(example["value"], content["schema"])
        if name.split(" ")[1] in STREAMS:
            statuses = {"200", "400", "401", "403", "408", "413", "429", "500", "502", "504"}
            assert statuses <= set(operation["responses"]), name
            assert "X-Max-Wait-Seconds" in {field["name"] for field in operation["parameters"]}, name


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CALL | {"functions": [WEATHER["function"]]}),
        ("/v1/chat/completions", CALL | {"n": 2, "logprobs": True, "top_logprobs": 2, "stream": True}),
        ("/v1/chat/completions", CALL | {"functions": [WEATHER["function"]], "stream": True}),
        ("/v1/chat/completions", CALL | {"messages": user("word " * 600), "return_progress": True, "stream": True}),
        ("/v1/completions", {"prompt": ["a", "b"], "logprobs": 2, "max_tokens": 3, "stream": True}),
        ("/api/chat", {"messages": user("Hello!"), "logprobs": True, "stream": False}),
        ("/api/generate", {"prompt": "Hello!", "logprobs": True}),
    ],
)
def test_other_answers_fit_too(
    embedding_server: RunningServer, reference: Reference, path: str, body: dict[str, Any]
) -> None:
    operation = f"POST {path}"
    reference.check_answer(operation, api_examples.answer(embedding_server.url, operation, {"request": body}))


def test_errors_are_as_described() -> None:
    """Each error that can be had at once, from each dialect: its status, and the code where errors have one."""
    keyed = Settings(_env_file=None, api_key="k", max_body_mb=0.002, any_model=False)
    with serving(keyed) as (url, _), httpx.Client(base_url=url, timeout=60) as client:
        reference = Reference(url)
        while client.get("/health").status_code == 503:
            time.sleep(0.05)
        known = {"Authorization": "Bearer k", "Content-Type": "application/json"}
        client.post("/v1/completions", json={"prompt": "a", "max_tokens": 1}, headers=known)  # now a wait is estimated
        for path in STREAMS:
            request = next(iter(EXAMPLES[f"POST {path}"].values()))["request"]
            for headers, body, code in [
                ({"Authorization": ""}, request, "invalid_api_key"),
                ({"Host": "example.com"}, request, "host_not_allowed"),
                ({}, request | {"stream": 9}, "invalid_value"),
                ({}, request | {"model": "glm"}, "model_not_found"),
                ({}, request | {"user": "a" * 2000}, "request_too_large"),
                ({"Content-Type": "text/plain"}, request, "unsupported_media_type"),
                ({"X-Max-Wait-Seconds": "0.000001"}, request, "wait_too_long"),
            ]:
                response = client.post(path, content=json.dumps(body), headers=known | headers)
                if response.status_code == 200:
                    assert (path, code) in {
                        ("/chat", "model_not_found"),
                        ("/api/chat", "unsupported_media_type"),
                        ("/api/generate", "unsupported_media_type"),
                    }
                    continue
                content = reference.content(f"POST {path}", response.status_code)["application/json"]
                reference.check(response.json(), content["schema"])
                example = content["examples"][code]["value"]
                assert api_examples.fields({"answer": response.json()}) == api_examples.fields({"answer": example})


def test_the_reference_names_what_there_is(reference: Reference) -> None:
    schemas = reference.schema["components"]["schemas"]
    fields = schemas["ChatCompletionBody"]["properties"]
    assert "SystemMessage" in str(fields["messages"])
    assert {"tools", "tool_choice", "response_format", "reasoning_effort", "max_completion_tokens"} <= set(fields)
    for body, others in [
        ("ChatCompletionBody", "/v1/models"),
        ("CompletionBody", "/v1/models"),
        ("ResponsesBody", "/v1/models"),
        ("MessagesBody", "/v1/models"),
        ("ChatBody", "/api/tags"),
    ]:
        assert f"another of GET {others}" in schemas[body]["properties"]["model"]["description"], body
    assert schemas["ErrorObject"]["required"] == ["message", "type", "param", "code"]
