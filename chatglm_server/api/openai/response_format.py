"""The form of the answer: OpenAI's ``response_format``, and the fields of vLLM, SGLang and llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
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


READERS: Mapping[str, Callable[[Any, str], ResponseFormat]] = {
    "guided_json": lambda value, name: JsonSchemaFormat(_schema(value, name)),
    "json_schema": lambda value, name: JsonSchemaFormat(value),
    "guided_regex": lambda value, name: RegexFormat(_text(value, name)),
    "regex": lambda value, name: RegexFormat(_text(value, name)),
    "guided_choice": lambda value, name: ChoiceFormat(_strings(value, name)),
    "guided_grammar": lambda value, name: GrammarFormat(_text(value, name)),
    "grammar": lambda value, name: GrammarFormat(_text(value, name), "gbnf"),
    "ebnf": lambda value, name: GrammarFormat(_text(value, name), "ebnf"),
    "structured_outputs": lambda value, name: _structured_outputs(value),
}
"""The fields of other servers: vLLM's ``guided_…`` and its later ``structured_outputs``, llama.cpp's and SGLang's. Each
reader takes the value, and the name of the field for errors.
"""

_PARTS = {"json": "guided_json", "regex": "regex", "choice": "guided_choice", "grammar": "guided_grammar"}
"""The fields of ``structured_outputs``, and what reads them."""


def read_response_format(fields: Mapping[str, Any]) -> ResponseFormat | None:
    """The noun that ``response_format`` or a field of `READERS` says. Raises: InvalidRequest if two of them do."""
    said = {name: fields[name] for name in ("response_format", *READERS) if fields.get(name) not in (None, "", [])}
    _check_single(said)
    for name, value in said.items():
        return _openai(value) if name == "response_format" else READERS[name](value, name)
    return None


def _check_single(names: Iterable[str]) -> None:
    """Raises: InvalidRequest if there are two."""
    first, second, *_ = (*names, "", "")
    if second:
        raise InvalidRequest(f"{first} and {second} both say what form the answer must have", param=second)


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
    given = value if isinstance(value, dict) else {}
    said = [name for name in _PARTS if given.get(name) is not None]
    if given.get("json_object") is True:
        said.append("json_object")
    if not said:
        raise UnsupportedParameter(
            "structured_outputs: this server knows json, json_object, regex, choice and grammar",
            param="structured_outputs",
        )
    _check_single(f"structured_outputs.{name}" for name in said)
    (name,) = said
    if name == "json_object":
        return JsonObjectFormat()
    return READERS[_PARTS[name]](given[name], f"structured_outputs.{name}")


def _schema(value: Any, name: str) -> JsonValue:
    """vLLM also takes the text of a schema."""
    if not isinstance(value, str):
        return value  # type: ignore[no-any-return]
    try:
        schema: JsonValue = json.loads(value)
        json.dumps(schema, ensure_ascii=False).encode()  # fails for half of a surrogate pair
        return schema
    except (ValueError, RecursionError):
        raise InvalidRequest(f"{name}: the schema is not JSON", param=name) from None


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequest(f"{name}: must be a string", param=name)
    return value


def _strings(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidRequest(f"{name}: must be a list of strings", param=name)
    return tuple(value)
