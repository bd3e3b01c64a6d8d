"""Random tools and JSON schemas: nested objects, arrays, enums, unions, and strings full of quotes and tags."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from chatglm_server.chat import Tool

WORDS = (
    *("a b", "c", "ü\"'", "it's", 'say "x"', "</b>", "<tool_call>", "</think>", "```", "{'a': 1}", "tool_call(x=1)"),
    *("\\n", "line\nbreak", "天气", "null", "1", "True", ""),
)
"""Strings that some dialect has another meaning for."""
NAMES = ("city", "n", "der_ort", "x-y", "from", "größe", "arg_value")


def random_schema(draw: random.Random, depth: int = 0) -> dict[str, Any]:
    """A value's schema, which every dialect can be held to."""
    kind = draw.random()
    if depth > 2 or kind < 0.6:
        return draw.choice(
            [
                {"type": "string", "description": "Some text."},
                {"type": "integer", "minimum": -3},
                {"type": "integer"},
                {"type": "number"},
                {"type": "number", "exclusiveMinimum": 0, "maximum": 2.5},
                {"type": "boolean"},
                {"enum": draw.sample(WORDS, 3)},
                {"const": 5},
                {"const": draw.choice(WORDS)},
                {"type": ["string", "null"]},
                {"type": "string", "maxLength": 5},
                {"type": "string", "minLength": 2, "maxLength": 30},
                {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
                {"enum": [1, "x", None]},
            ]
        )
    if kind < 0.8:
        return {"type": "array", "items": random_schema(draw, depth + 1)}
    if kind < 0.84:
        return {"type": "object"}
    if kind < 0.88:
        return {"type": "array"}
    return random_object(draw, [f"k{place}" for place in range(draw.randint(1, 3))], depth + 1)


def random_object(draw: random.Random, names: Sequence[str], depth: int = 0) -> dict[str, Any]:
    """The schema of an object with properties of these `names`, half of them required."""
    return {
        "type": "object",
        "properties": {name: random_schema(draw, depth) for name in names},
        "required": [name for name in names if draw.random() < 0.5],
        "additionalProperties": False,
    }


def random_tools(seed: int) -> list[Tool]:
    """One to eight tools, whose names begin alike."""
    draw = random.Random(seed)
    tools = []
    for place in range(draw.randint(1, 8)):
        names = [f"{draw.choice(NAMES)}{number}" for number in range(draw.randint(0, 5))]
        name = draw.choice(["get", "get_weather", "look.up", "做"]) + str(place)
        tools.append(Tool({"name": name, "parameters": random_object(draw, names)}))
    return tools


def random_value(draw: random.Random, schema: dict[str, Any]) -> Any:
    """A value that fits a schema of this module."""
    if "enum" in schema or "const" in schema:
        return draw.choice(schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return random_value(draw, draw.choice(schema["anyOf"]))
    kinds = schema["type"]
    kind = kinds if isinstance(kinds, str) else draw.choice(kinds)
    if kind == "object":
        properties, required = schema.get("properties", {}), schema.get("required", [])
        names = [name for name in properties if name in required or draw.random() < 0.6]
        return {name: random_value(draw, properties[name]) for name in names}
    if kind == "array":
        return [random_value(draw, schema.get("items", {"type": "integer"})) for _ in range(draw.randint(0, 3))]
    if kind == "string":
        word = draw.choice([word for word in WORDS if len(word) >= schema.get("minLength", 0)])
        return word[: schema.get("maxLength")]
    numbers = {"integer": draw.randint(0, 2000), "number": draw.choice([0.5, 1.25, 2]), "null": None}
    return numbers.get(kind, draw.random() < 0.5)
