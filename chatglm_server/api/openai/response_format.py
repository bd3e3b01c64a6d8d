"""The form of the answer: OpenAI's ``response_format``, and the fields of vLLM, SGLang and llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...chat import (
    ChoiceFormat,
    GrammarFormat,
    JsonObjectFormat,
    JsonSchemaFormat,
    JsonValue,
    RegexFormat,
    ResponseFormat,
    TextFormat,
)
from ...errors import InvalidRequest, UnsupportedParameter
from ..http.body import few_entries
from ..validation import read


class JsonSchemaBody(BaseModel):
    """A schema and its name."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = None
    description: str | None = None
    strict: bool | None = None
    schema_: dict[str, Any] = Field(alias="schema")


class ResponseFormatBody(BaseModel):
    """OpenAI's ``response_format``; llama.cpp takes a schema with ``json_object`` too."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaBody | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")


READERS: Mapping[str, Callable[[Any], ResponseFormat]] = {
    "guided_json": lambda value: JsonSchemaFormat(_schema(value)),
    "json_schema": lambda value: JsonSchemaFormat(value),
    "guided_regex": lambda value: RegexFormat(str(value)),
    "regex": lambda value: RegexFormat(str(value)),
    "guided_choice": lambda value: ChoiceFormat(_strings(value)),
    "guided_grammar": lambda value: GrammarFormat(str(value)),
    "grammar": lambda value: GrammarFormat(str(value), "gbnf"),
    "ebnf": lambda value: GrammarFormat(str(value), "ebnf"),
    "structured_outputs": lambda value: _structured_outputs(value),
}
"""The fields of other servers: vLLM's ``guided_…`` and its later ``structured_outputs``, llama.cpp's and SGLang's."""

_PARTS = {"json": "guided_json", "regex": "regex", "choice": "guided_choice", "grammar": "guided_grammar"}


def read_response_format(fields: Mapping[str, Any]) -> ResponseFormat | None:
    """The noun that ``response_format`` or a field of `READERS` says. Raises: InvalidRequest if two of them do."""
    said = {name: fields[name] for name in ("response_format", *READERS) if fields.get(name) not in (None, "", [])}
    if not said:
        return None
    if len(said) > 1:
        first, second, *_ = said
        raise InvalidRequest(f"{first} and {second} both say what form the answer must have", param=second)
    ((name, value),) = said.items()
    return _openai(value) if name == "response_format" else READERS[name](value)


def _openai(value: Any) -> ResponseFormat:
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(kind, str) and kind not in ("text", "json_object", "json_schema"):
        raise UnsupportedParameter(
            f"response_format: this server does not know the type {kind[:64]!r}", param="response_format"
        )
    few_entries(value, "response_format")
    few_entries(value.get("json_schema") if isinstance(value, dict) else None, "response_format.json_schema")
    body = read(ResponseFormatBody, value, "response_format")
    if body.type == "text":
        return TextFormat()
    if body.type == "json_schema":
        if body.json_schema is None:
            raise InvalidRequest("response_format: json_schema is missing", param="response_format.json_schema")
        own = body.json_schema
        return JsonSchemaFormat(own.schema_, own.name, own.description, own.strict)
    return JsonObjectFormat() if body.schema_ is None else JsonSchemaFormat(body.schema_)


def _structured_outputs(value: Any) -> ResponseFormat:
    said = {name: item for name, item in value.items() if item is not None} if isinstance(value, dict) else {}
    if said.get("json_object") is True:
        return JsonObjectFormat()
    name = next((name for name in _PARTS if name in said), None)
    if name is None:
        raise UnsupportedParameter(
            "structured_outputs: this server knows json, json_object, regex, choice and grammar",
            param="structured_outputs",
        )
    return READERS[_PARTS[name]](said[name])


def _schema(value: Any) -> JsonValue:
    """vLLM also takes the text of a schema."""
    if not isinstance(value, str):
        return value  # type: ignore[no-any-return]
    try:
        return json.loads(value)  # type: ignore[no-any-return]
    except (ValueError, RecursionError):
        raise InvalidRequest("guided_json: the schema is not JSON", param="guided_json") from None


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidRequest("guided_choice: must be a list of strings", param="guided_choice")
    return tuple(value)
