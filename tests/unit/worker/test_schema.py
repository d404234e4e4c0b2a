"""JSON schemas to regular expressions: every match is valid, and what cannot be kept is refused."""

import json
import re
from typing import Any

import jsonschema
import pytest

from inference.errors import RequestRefusedError
from inference.worker.engine.schema import (
    MAX_PARTS,
    MAX_SCHEMA_LENGTH,
    as_regex,
)

FINDING = {
    "type": "object",
    "properties": {
        "name": {"enum": ["effusion", 'a "quoted" one', "größer", "a\\b\n"]},
        "present": {"type": "boolean"},
        "percent": {"type": "integer", "minimum": -1, "maximum": 3},
        "why": {"type": "string", "minLength": 1, "maxLength": 4},
        "size": {"type": ["number", "null"]},
    },
    "required": ["name", "percent"],
}


@pytest.mark.parametrize(
    ("schema", "taken", "not_taken"),
    [
        pytest.param(
            {"type": "string"},
            ['""', '"a"', ' "é→"', r'"a\"b\\c\n"'],
            ['"', '"a""', '"\n"', r'"\x"', "a", '"a" '],
            id="string",
        ),
        pytest.param(
            {"type": "string", "minLength": 2, "maxLength": 3},
            ['"ab"', '"aéc"'],
            ['"a"', '"abcd"', r'"a\n"'],
            id="counted string",
        ),
        pytest.param(
            {"type": "integer"}, ["0", "-7", "120"], ["01", "1.5", "-", "1" * 16], id="whole"
        ),
        pytest.param(
            {"type": "number"},
            ["0", "-0.5", "1e5", "2.5E-3"],
            [".5", "1.", "1e", "1e999"],
            id="number",
        ),
        pytest.param(
            {"type": "integer", "minimum": 8, "maximum": 11},
            ["8", "10", "11"],
            ["7", "12", "1"],
            id="range",
        ),
        pytest.param(
            {"type": ["null", "boolean"]}, ["null", "true"], ["0", '"null"'], id="two types"
        ),
        pytest.param({"const": "a.b"}, ['"a.b"'], ['"aXb"'], id="const"),
        pytest.param(
            {"enum": [1, "1", None, False]}, ["1", '"1"', "null", "false"], ["true"], id="enum"
        ),
        pytest.param(
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
            ["[true]", "[true, false]", "[true,false]"],
            ["[]", "[true,true,true]", "[true,]"],
            id="counted list",
        ),
        pytest.param(
            {"type": "array", "items": {"type": "null"}},
            ["[]", "[null]", "[null,null]"],
            ["[,null]"],
            id="list",
        ),
        pytest.param(
            {"type": "array", "items": {"type": "null"}, "maxItems": 0},
            ["[]"],
            ["[null]"],
            id="no list",
        ),
        pytest.param(
            {"type": "object", "properties": {}}, ["{}"], ["{ }", '{"a":1}'], id="empty object"
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}}},
            ["{}", '{"a":null}', '{"b": null}', '{"a": null, "b": null}'],
            ['{,"b":null}', '{"a":null,}', '{"b":null,"a":null}'],
            id="all may be left out",
        ),
        pytest.param(
            FINDING,
            ['{"name": "effusion", "percent": 3}', '{"name":"größer","percent":-1,"size":null}'],
            ['{"name": "effusion"}', '{"percent": 3}', '{"name":"effusion","percent":4}'],
            id="finding",
        ),
        pytest.param(
            {
                "$defs": {"side": {"enum": ["left", "right"]}},
                "anyOf": [{"$ref": "#/$defs/side"}, {"type": "null", "description": "no side"}],
            },
            ['"left"', "null"],
            ['"up"'],
            id="reference",
        ),
    ],
)
def test_a_schema_takes_what_it_describes(
    schema: dict[str, Any], taken: list[str], not_taken: list[str]
) -> None:
    regex = as_regex(json.dumps(schema))
    for text in taken:
        assert re.fullmatch(regex, text), text
        jsonschema.validate(json.loads(text), schema)
    for text in not_taken:
        assert not re.fullmatch(regex, text), text


def _nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def _doubling(levels: int) -> dict[str, Any]:
    """Each definition holds the one before twice: 2 to the power of `levels` parts."""
    definitions: dict[str, Any] = {"d0": {"type": "null"}}
    for n in range(1, levels + 1):
        definitions[f"d{n}"] = {"anyOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2}
    return {"$ref": f"#/$defs/d{levels}", "$defs": definitions}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        pytest.param({}, "without type", id="anything"),
        pytest.param({"type": "object"}, "without properties", id="any object"),
        pytest.param({"type": "array"}, "without items", id="any list"),
        pytest.param({"type": "string", "pattern": "a"}, "pattern", id="pattern"),
        pytest.param({"type": "string", "format": "date"}, "format", id="format"),
        pytest.param({"type": "number", "minimum": 0}, "minimum", id="bound of a number"),
        pytest.param({"type": "integer", "minimum": 0}, "minimum", id="half a range"),
        pytest.param(
            {"type": "integer", "minimum": 0, "maximum": 10**9}, "minimum", id="wide range"
        ),
        pytest.param({"allOf": [{"type": "null"}]}, "allOf", id="allOf"),
        pytest.param({"oneOf": [{"type": "null"}]}, "oneOf", id="oneOf"),
        pytest.param({"anyOf": []}, "anyOf", id="no alternative"),
        pytest.param({"enum": []}, "enum", id="no value"),
        pytest.param({"enum": [[1]]}, "enum", id="a list as a value"),
        pytest.param(
            {"enum": ["x"], "type": "integer"}, "another type", id="value of another type"
        ),
        pytest.param({"type": "date"}, "type", id="unknown type"),
        pytest.param({"type": {}}, "type", id="no type"),
        pytest.param({"$ref": "#"}, r"\$ref", id="the whole"),
        pytest.param(
            {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "itself", id="recursion"
        ),
        pytest.param({"$ref": "#/$defs/a"}, "nowhere", id="dangling"),
        pytest.param({"$ref": "http://127.0.0.1:9/x"}, "elsewhere", id="address"),
        pytest.param({"$ref": 1}, "elsewhere", id="no address"),
        pytest.param({"type": "string", "minLength": 3, "maxLength": 2}, "below", id="empty range"),
        pytest.param({"type": "string", "maxLength": 10**6}, "beyond", id="long string"),
        pytest.param({"type": "string", "maxLength": 1.5}, "beyond", id="broken length"),
        pytest.param(
            {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["b"]},
            "required",
            id="required and unknown",
        ),
        pytest.param({"type": "null", "x-canary": 1}, "not JSON Schema's", id="own keyword"),
        pytest.param([], "no object", id="a list"),
        pytest.param(True, "no object", id="true"),
        pytest.param(_nested(40), "too large", id="deep"),
        pytest.param(_doubling(20), "too large", id="doubling"),
        pytest.param({"anyOf": [{"type": "null"}] * MAX_PARTS}, "too large", id="wide"),
        pytest.param(
            {
                "type": "object",
                "properties": {f"{n:0200}": {"type": "null"} for n in range(100)},
            },
            "too many different",
            id="many that may be left out",
        ),
    ],
)
def test_a_schema_that_cannot_be_kept_to_is_refused(schema: Any, said: str) -> None:  # noqa: ANN401  # JSON
    with pytest.raises(RequestRefusedError, match=said) as caught:
        as_regex(json.dumps(schema))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{", id="no JSON"),
        pytest.param('{"const": NaN}', id="no number"),
        pytest.param('{"const": 1e999}', id="infinite"),
        pytest.param('{"const": "\\ud800"}', id="half a character"),
        pytest.param("[" * 30_000, id="brackets"),
        pytest.param(f'{{"const": "{"x" * MAX_SCHEMA_LENGTH}"}}', id="too long"),
    ],
)
def test_a_text_that_is_no_schema_is_refused(text: str) -> None:
    with pytest.raises(RequestRefusedError):
        as_regex(text)
