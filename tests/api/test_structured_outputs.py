"""Answers in the form that the client asks for, on both demo models: json, jsonschema and re judge them."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import jsonschema
import pytest
from langchain_openai import ChatOpenAI
from openai import LengthFinishReasonError, OpenAI
from pydantic import BaseModel, Field, SecretStr

from tests.serving import RunningServer, user

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "unit": {"enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "next": {"anyOf": [{"$ref": "#/$defs/day"}, {"type": "null"}]},
    },
    "required": ["city", "unit", "days", "next"],
    "additionalProperties": False,
    "$defs": {"day": {"type": "object", "properties": {"hot": {"type": "boolean"}}, "additionalProperties": False}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "forecast", "schema": SCHEMA, "strict": True}}
ASK: dict[str, Any] = {"messages": user("What is the weather in Paris?"), "max_tokens": 120, "temperature": 0.8}


class Forecast(BaseModel):
    """The weather of some days."""

    city: str = Field(max_length=12)
    unit: Literal["celsius", "fahrenheit"]
    days: int = Field(ge=1, le=9)


@pytest.fixture(params=["server", "glm4_server"])
def either(request: pytest.FixtureRequest) -> RunningServer:
    server: RunningServer = request.getfixturevalue(request.param)
    return server


def content(server: RunningServer, body: dict[str, Any], path: str = "/v1/chat/completions") -> str:
    """The content of a whole answer that has ended."""
    response = server.post(path, json=body)
    assert response.status_code == 200, response.text
    choice = response.json()["choices"][0]
    assert choice["finish_reason"] == "stop", choice
    return str(choice["text"] if "text" in choice else choice["message"]["content"])


@pytest.mark.parametrize("seed", range(3))
def test_the_answer_is_json_that_fits(either: RunningServer, seed: int) -> None:
    text = content(either, ASK | {"response_format": FORMAT, "seed": seed})
    assert text == text.strip()
    answer = json.loads(text)
    jsonschema.validate(answer, SCHEMA)
    assert list(answer) == list(SCHEMA["properties"]), "in the order of the schema"


@pytest.mark.parametrize("name", ["guided_json", "json_schema", "structured_outputs", "text"])
def test_other_spellings_of_a_schema(server: RunningServer, name: str) -> None:
    value = {"structured_outputs": {"json": SCHEMA}, "text": None}.get(name, SCHEMA)
    fields = {"guided_json": json.dumps(SCHEMA)} if name == "text" else {name: value}
    same = ASK | {"seed": 1}
    assert content(server, same | fields) == content(server, same | {"guided_json": SCHEMA})


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize(
    ("fields", "pattern"),
    [
        ({"guided_regex": r"[a-c]{3}/\d\d"}, r"[a-c]{3}/\d\d"),
        ({"regex": "(yes|no)!"}, "(yes|no)!"),
        ({"structured_outputs": {"regex": "a{2,5}"}}, "a{2,5}"),
        ({"guided_choice": ["Paris", 'in "Rome"', "ü/\\n"]}, r'Paris|in "Rome"|ü/\\n'),
        ({"structured_outputs": {"choice": ["yes"]}}, "yes"),
        ({"grammar": 'root ::= "ab" digit digit? "."\ndigit ::= [0-9]\n'}, r"ab\d\d?\."),
        ({"ebnf": 'root ::= "x" | "y"'}, "x|y"),
        ({"guided_grammar": 'start: "x" N\nN: /[0-9]{2}/\n'}, r"x\d\d"),
        ({"guided_grammar": 'root ::= "q"'}, "q"),
        ({"structured_outputs": {"grammar": 'root ::= "z" "z"? "."'}}, r"zz?\."),
    ],
)
def test_forms_other_than_json(either: RunningServer, path: str, fields: dict[str, Any], pattern: str) -> None:
    body = fields | {"max_tokens": 300, "seed": 1, "temperature": 2}
    body |= {"prompt": "Say"} if path == "/v1/completions" else {"messages": user("Say")}
    assert re.fullmatch(pattern, content(either, body, path))


def test_any_object_and_any_json(server: RunningServer) -> None:
    biased = ASK | {"max_tokens": 400, "temperature": 1.2}
    for seed in range(3):
        response = server.post(json=biased | {"response_format": {"type": "json_object"}, "seed": seed}).json()
        choice = response["choices"][0]
        text = choice["message"]["content"]
        assert text.startswith("{")
        if choice["finish_reason"] == "stop":
            assert isinstance(json.loads(text), dict)
    text = content(server, ASK | {"guided_json": {"const": [1, {"a": None}]}})
    assert json.loads(text) == [1, {"a": None}]
    assert server.post(json=ASK | {"guided_json": {}}).status_code == 200


def test_streams_and_neighbours_change_nothing(either: RunningServer) -> None:
    bodies = [ASK | {"response_format": FORMAT, "seed": seed, "n": 2} for seed in range(4)]

    def texts(body: dict[str, Any]) -> list[str]:
        return [choice["message"]["content"] for choice in either.post(json=body).json()["choices"]]

    def streamed(body: dict[str, Any]) -> list[str]:
        result = ["", ""]
        for line in either.stream(body).decode().splitlines():
            if line.startswith("data: {"):
                for choice in json.loads(line.removeprefix("data: "))["choices"]:
                    result[choice["index"]] += choice["delta"].get("content") or ""
        return result

    alone = [texts(body) for body in bodies]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(texts, bodies)) == alone
        assert list(pool.map(streamed, bodies)) == alone


def test_log_probabilities_are_the_models_own(glm4_server: RunningServer) -> None:
    """They are those of a free answer at the same place, and asking for them does not change the answer."""
    held = ASK | {"response_format": FORMAT, "seed": 3}
    told = [{"role": "system", "content": f"Answer with JSON that fits this JSON schema: {_compact(SCHEMA)}"}]
    free = ASK | {"messages": told + ASK["messages"], "logprobs": True, "top_logprobs": 5, "seed": 3}
    first = glm4_server.post(json=held | {"logprobs": True, "top_logprobs": 5}).json()["choices"][0]
    other = glm4_server.post(json=free).json()["choices"][0]
    assert first["logprobs"]["content"][0]["top_logprobs"] == other["logprobs"]["content"][0]["top_logprobs"]
    assert first["message"]["content"] == content(glm4_server, held)
    assert "".join(token["token"] for token in first["logprobs"]["content"]).strip() == first["message"]["content"]
    assert any(token["logprob"] < -3 for token in first["logprobs"]["content"]), "forced upon the model"
    assert all(len(token["top_logprobs"]) == 5 for token in first["logprobs"]["content"])


def test_an_answer_that_is_cut_is_not_completed(server: RunningServer) -> None:
    whole = content(server, ASK | {"response_format": FORMAT, "seed": 1})
    for most in (1, 5, 12):
        choice = server.post(json=ASK | {"response_format": FORMAT, "seed": 1, "max_tokens": most}).json()["choices"][0]
        assert choice["finish_reason"] == "length"
        assert whole.startswith(choice["message"]["content"].rstrip())
    stopped = content(server, ASK | {"response_format": FORMAT, "seed": 1, "stop": ["unit"]})
    assert stopped == whole[: whole.index("unit")]


REFUSED: list[tuple[dict[str, Any], str, list[str]]] = [
    (FORMAT | {"json_schema": {"name": "x"}}, "response_format.json_schema.schema", []),
    *(
        (
            {
                "type": "json_schema",
                "json_schema": {
                    "name": "x",
                    "schema": {"type": "object", "properties": {"a/b": schema}, "required": ["a/b"]},
                },
            },
            "response_format.json_schema.schema",
            ["#/properties/a~1b", word],
        )
        for schema, word in [
            ({"not": {}}, "not"),
            ({"if": {}, "then": {}}, "if"),
            ({"type": "array", "uniqueItems": True}, "uniqueItems"),
            ({"type": "object", "propertyNames": {"pattern": "a"}}, "propertyNames"),
            ({"type": "string", "format": "colour"}, "'colour'"),
            ({"type": "string", "pattern": "(?=a)b"}, "look-ahead"),
            ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum"),
            ({"type": "thing"}, "thing"),
            ({"enum": []}, "Unsatisfiable"),
            ({"oneOf": [{"minLength": 1}, {"maxLength": 3}]}, "oneOf"),
        ]
    ),
    (
        {"type": "json_schema", "json_schema": {"name": "x", "schema": {"$ref": "#/$defs/nothing"}}},
        "response_format.json_schema.schema",
        ["/$defs/nothing"],
    ),
]


@pytest.mark.parametrize(("value", "param", "words"), REFUSED, ids=lambda value: str(value)[-40:])
def test_a_schema_that_cannot_be_honoured_is_refused_by_place(
    server: RunningServer, value: dict[str, Any], param: str, words: list[str]
) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        body = ASK | {"prompt": "x", "response_format": value}
        response = server.post(path, json=body)
        error = response.json()["error"]
        assert (response.status_code, error["param"]) == (400, param), error
        assert all(word in error["message"] for word in words), error
        assert "\n" not in error["message"]
        assert len(error["message"]) < 400


def test_a_schema_that_is_not_strict_leaves_out_what_it_must() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"enum": [1, 2], "not": {"const": 1}}},
        "required": ["a"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": False}}
    with RunningServer() as server:
        for _ in range(2):
            assert json.loads(content(server, ASK | {"response_format": form}))["a"] in (1, 2)
        assert sum("left out of a schema" in line for line in server.lines) == 1


NESTED: dict[str, Any] = {}
for _ in range(100):
    NESTED = {"type": "array", "items": NESTED}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"guided_json": json.dumps(NESTED)}, "guided_json"),
        ({"guided_json": "[" * 100_000}, "guided_json"),
        ({"guided_json": {"properties": {f"p{number}": {} for number in range(1001)}}}, "guided_json"),
        ({"guided_json": {"enum": ["x" * 200_000]}}, "guided_json"),
        ({"guided_json": {"allOf": [{"pattern": f"a.{{{number}}}b"} for number in range(40)]}}, "guided_json"),
        ({"guided_json": "{"}, "guided_json"),
        ({"guided_json": 5}, "guided_json"),
        ({"guided_regex": "("}, "guided_regex"),
        ({"guided_regex": "x" * 70_000}, "guided_regex"),
        ({"guided_choice": ["a", ""]}, "guided_choice"),
        ({"guided_choice": [5]}, "guided_choice"),
        ({"grammar": "root ::= ("}, "grammar"),
        ({"grammar": "root ::= " + "(" * 20_000}, "grammar"),
        ({"guided_grammar": "start: " + "(" * 20_000}, "guided_grammar"),
        ({"guided_grammar": "start: r0\n" + "".join(f"r{n}: r{n + 1}\n" for n in range(4000))}, "guided_grammar"),
        ({"guided_grammar": "start: T\nT: " + "&".join(f"/.*a.{{{n}}}b.*/" for n in range(40))}, "guided_grammar"),
        ({"guided_grammar": 'start: %json {"type": "string"}'}, "guided_grammar"),
        ({"guided_grammar": "start: " + "|".join(['"a"'] * 16_000)}, "guided_grammar"),
        ({"guided_json": {}, "ignore_eos": True}, "ignore_eos"),
        ({"guided_json": {"$ref": "#"}}, "guided_json"),
        ({"json_schema": {"$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"}}, "json_schema"),
        ({"guided_json": '{"enum": ["\\ud800"]}'}, "guided_json"),
        ({"guided_regex": "[^\\s\\S]"}, "guided_regex"),
        ({"guided_grammar": 'root ::= root "a"'}, "guided_grammar"),
        ({"guided_regex": 3}, "guided_regex"),
        ({"regex": ["a"]}, "regex"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs.choice"),
        ({"structured_outputs": {"json": "nope"}}, "structured_outputs.json"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_hostile_forms(server: RunningServer, fields: dict[str, Any], param: str) -> None:
    response = server.post(json=ASK | fields)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param), response.text


def test_five_hundred_optional_properties(server: RunningServer) -> None:
    schema = {"properties": {f"p{number}": {"const": number} for number in range(500)}, "additionalProperties": False}
    body = {"prompt": "x", "guided_json": schema | {"type": "object"}, "max_tokens": 60, "temperature": 1.5, "seed": 1}
    response = server.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["text"].startswith("{")


def test_openai_parses_an_answer(either: RunningServer) -> None:
    client = OpenAI(base_url=f"{either.url}/v1", api_key="none", max_retries=0)
    for seed in range(2):
        parsed = client.chat.completions.parse(
            model="default-model", messages=[{"role": "user", "content": "Paris?"}], response_format=Forecast, seed=seed
        )
        assert isinstance(parsed.choices[0].message.parsed, Forecast)
    with pytest.raises(LengthFinishReasonError):
        client.chat.completions.parse(
            model="default-model",
            messages=[{"role": "user", "content": "Paris?"}],
            response_format=Forecast,
            max_tokens=5,
        )


def test_langchain_gets_an_object(server: RunningServer) -> None:
    chat = ChatOpenAI(base_url=f"{server.url}/v1", api_key=SecretStr("none"), model="default-model", seed=1)
    answer = chat.with_structured_output(Forecast, method="json_schema").invoke("What is the weather in Paris?")
    assert isinstance(answer, Forecast)


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
