"""Values of arguments, typed by the tool's schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatglm_server.formats.values.argument_values import ArgumentValues
from chatglm_server.formats.values.schema import ANY_TYPE, Alternative, ArgumentSchema

STRING, INTEGER, NULL = {"type": "string"}, {"type": "integer"}, {"type": "null"}


def value_of(schema: Any, text: str, **more: Any) -> Any:
    values = ArgumentValues({"properties": {"v": schema}, **more})
    return json.loads(values.json_text("v", text), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        # strings, whatever they look like
        *((STRING, text, text) for text in ("", " 1 ", '"x"', "null", "[1]", "\\d+", "0x1F")),
        ({"type": ["string"]}, "5", "5"),
        ({"const": "5"}, "5", "5"),
        ({"enum": ["5", "6"]}, "5", "5"),
        ({"allOf": [{"type": ["string", "integer"]}, STRING]}, "5", "5"),
        # strings or something else
        ({"type": ["string", "integer"]}, "5", 5),
        ({"type": ["string", "integer"]}, '"5"', "5"),
        ({"type": ["string", "integer"]}, "5.5", "5.5"),
        ({"type": ["string", "object"]}, "5", "5"),
        ({"type": ["string", "null"]}, "null", None),
        ({"type": ["string", "null"]}, "nil", "nil"),
        ({"type": "string", "nullable": True}, "null", None),
        ({"anyOf": [STRING, {"type": "array"}]}, "['a', 1]", ["a", 1]),
        ({"anyOf": [STRING, {"type": "array"}]}, "'a'", "'a'"),
        # enumerations decide before types do
        ({"enum": ["5", 6]}, "5", "5"),
        ({"enum": ["5", 6]}, "6", 6),
        ({"enum": ["true", True]}, "true", True),
        ({"enum": ["on", None]}, "null", None),
        ({"enum": ["on", None]}, "on", "on"),
        ({"enum": [1, 2]}, '\\"2\\"', 2),
        ({"const": {"a": 1}}, '{"a": 1}', {"a": 1}),
        # numbers
        ({"type": "number"}, "1e2", 100.0),
        ({"type": "number"}, '"1.5"', 1.5),
        ({"type": "number"}, "1e999", "1e999"),
        ({"type": "number"}, "NaN", "NaN"),
        ({"type": "number"}, "5km", "5km"),
        (INTEGER, "-3", -3),
        (INTEGER, " 3\n", 3),
        (INTEGER, "3.5", "3.5"),
        (INTEGER, "true", "true"),
        (INTEGER, "9" * 10_000, "9" * 10_000),
        # truth, nothing, lists, objects
        ({"type": "boolean"}, "False", False),
        ({"type": "boolean"}, '"true"', True),
        ({"type": "boolean"}, "1", "1"),
        (NULL, "None", None),
        ({"type": "array"}, '["a",\n 1]', ["a", 1]),
        ({"items": {}}, "(1, 2)", [1, 2]),
        ({"type": "array"}, "a, b", "a, b"),
        ({"type": "object"}, '{"a": 1, "a": 2}', {"a": 1}),
        ({"type": "object"}, "{'a': True}", {"a": True}),
        ({"type": "object"}, '{\\"a\\": 1}', {"a": 1}),
        ({"type": "object"}, '{"a": NaN}', '{"a": NaN}'),
        ({"type": "object"}, "[" * 100_000, "[" * 100_000),
        ({"type": "object"}, f"{{0x{'f' * 5000}: 1}}", f"{{0x{'f' * 5000}: 1}}"),  # more digits than Python writes
        # nothing declared
        *(({}, text, value) for text, value in (("5", 5), ('"x"', "x"), ("x", "x"), ("", ""), (" x ", " x "))),
        *(({}, text, value) for text, value in (("None", None), ("(1,)", [1]), ("(see below)", "(see below)"))),
        *(({}, text, text) for text in ("1_000", "007", "NaN", "-Infinity", "a\\nb", "{x}", "[draft] 1", "5%")),
        ({"type": "date"}, "5", 5),
        (True, "5", 5),
        ({"$ref": "https://example.com/s"}, "5", 5),
    ],
    ids=lambda value: json.dumps(value)[:40],
)
def test_value(schema: Any, text: str, value: Any) -> None:
    read = value_of(schema, text)

    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("key", ["$defs", "definitions"])
def test_references(key: str) -> None:
    schema = {"$ref": f"#/{key}/a~1b~0c/deep"}
    assert value_of(schema, "5", **{key: {"a/b~c": {"deep": STRING}}}) == "5"
    assert value_of(schema, "5", **{key: {"a/b~c": {"deep": schema}}}) == 5
    assert value_of({"$ref": "#/nowhere"}, "5") == 5


def test_declarations_behind_references_and_in_parts() -> None:
    whole = {"properties": {"a": STRING}, "required": ["a"]}
    for parameters in (
        {"$defs": {"x": whole}, "$ref": "#/$defs/x"},
        {"allOf": [{"properties": {"a": STRING}}, {"required": ["a"]}]},
        {"allOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": whole}},
    ):
        values = ArgumentValues(parameters)
        assert values.is_text("a")
        assert values.names == {"a"}
        assert not values.are_satisfied({})
        assert values.are_satisfied({"a": "1"})


def test_variants_are_told_apart_by_their_constants() -> None:
    variants = [
        {"properties": {"kind": {kind: ["t"] if kind == "enum" else "t"}, "v": STRING}, "required": ["v"]}
        for kind in ("const", "enum")
    ]
    for text_variant in variants:
        values = ArgumentValues({"oneOf": [text_variant, {"properties": {"kind": {"const": "n"}, "v": INTEGER}}]})
        assert values.depend_on_each_other
        assert not values.is_text("v")
        assert values.json_texts({"v": "5", "kind": "t"}) == {"v": '"5"', "kind": '"t"'}
        assert values.json_texts({"kind": "n", "v": "5"}) == {"kind": '"n"', "v": "5"}
        assert values.json_texts({"kind": "?", "v": "5"}) == {"kind": '"?"', "v": "5"}
        assert values.are_satisfied({})


schemas: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([True, None, 5, {}, STRING, INTEGER, NULL, {"enum": ["a", 1, {}]}, {"const": []}])
    | st.builds(lambda to: {"$ref": to}, st.sampled_from(["#", "#/properties/v", "#/$defs/a", "#/x/0", "x"])),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "number", ["object", "null"], "what", [], 7]),
            "anyOf": st.lists(inner, max_size=4) | inner,
            "oneOf": st.lists(inner, max_size=4),
            "allOf": st.lists(inner, max_size=3),
            "properties": st.dictionaries(st.sampled_from(["v", "w"]), inner, max_size=2) | inner,
            "$defs": st.dictionaries(st.just("a"), inner),
            "required": st.sampled_from([["v"], [1, {}], "v", None]),
            "enum": st.lists(inner, max_size=2),
            "const": inner,
            "nullable": st.booleans(),
        },
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(
    schemas, st.sampled_from(["", "5", "x", "null", '{"a": [1]}', "NaN", "'", "[(", '\\"5\\"', "\ud83d"]) | st.text()
)
def test_any_schema_reads_any_text_as_json(schema: Any, text: str) -> None:
    """Whatever a client declares: no exception, and JSON comes out."""
    values = ArgumentValues(schema)
    values.are_satisfied({"v": ""})
    for written in (values.json_text("v", text), *values.json_texts({"v": text, "w": "1"}).values()):
        json.loads(written, parse_constant=pytest.fail)
        written.encode()
    if values.is_text("v"):
        assert json.loads(values.json_text("v", "5")) == "5"


def test_schemas_that_grow_without_bound_allow_anything() -> None:
    branching = {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}] * 10}}, "properties": {"v": {"$ref": "#/$defs/a"}}}
    product = {"allOf": [{"anyOf": [STRING, INTEGER]}] * 30}
    for parameters in (branching, {"properties": {"v": product}}, {"anyOf": [branching] * 100}):
        schema = ArgumentSchema(parameters)
        assert all(one.types <= ANY_TYPE for variant in schema.variants for one in variant.properties.get("v", ()))
    assert ArgumentSchema({"properties": {"v": product}}).variants[0].properties["v"] == (Alternative(),)
