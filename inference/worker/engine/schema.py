"""A JSON schema to a regular expression whose every match is JSON that the schema accepts.

Only what can be kept to exactly is taken; any other keyword is refused by its name, since text
that looks right and breaks a rule of the schema is worse than a refusal. outlines-core has
a translation of its own, which is not used: it ignores `minimum`, joins the parts of `allOf`, and
cuts recursion by leaving required properties out.

White space: nothing or one space after `:` and `,` and before the value. Properties come in the
schema's order. Numbers have up to 15 digits before and after the point, so that a model that
repeats itself still ends.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from inference.errors import RequestRefusedError

MAX_SCHEMA_LENGTH = 32_768  # characters
MAX_PARTS = 300  # schemas within the schema, each `$ref` counted where it is used
MAX_DEPTH = 12
MAX_ENUM = 200
MAX_LENGTH = 1000  # of a string, and of a list
MAX_INTEGERS = 1000  # between minimum and maximum
MAX_REGEX = 100_000  # characters

SPACE = " ?"
CHARACTER = r'[^"\\\x00-\x1F\x7F-\x9F]'
ESCAPED = r'\\["\\/bfnrt]'
INTEGER = "-?(?:0|[1-9][0-9]{0,14})"
NUMBER = rf"{INTEGER}(?:\.[0-9]{{1,15}})?(?:[eE][+-]?[0-9]{{1,2}})?"

NOTES = frozenset(
    {"$schema", "$comment", "$defs", "definitions", "title", "description", "default",
     "examples", "deprecated", "readOnly", "writeOnly"}
)  # fmt: skip
ALLOWED = {
    "object": {"properties", "required", "additionalProperties"},
    "array": {"items", "minItems", "maxItems"},
    "string": {"minLength", "maxLength"},
    "integer": {"minimum", "maximum"},
    "number": set[str](),
    "boolean": set[str](),
    "null": set[str](),
}
# Named in a refusal; any other key may be a person's own words.
KEYWORDS = frozenset(
    {"$id", "allOf", "oneOf", "not", "if", "then", "else", "pattern", "format", "minimum",
     "maximum",
     "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "uniqueItems", "contains",
     "prefixItems", "patternProperties", "propertyNames", "minProperties", "maxProperties",
     "dependentRequired", "dependentSchemas", "unevaluatedProperties", "additionalProperties",
     "items", "properties", "required", "enum", "const", "type", "anyOf", "$ref", "minLength",
     "maxLength", "minItems", "maxItems", "nullable"}
)  # fmt: skip


def as_regex(schema: str) -> str:
    """Translate a schema.

    Raises:
        RequestRefusedError: it is no schema, too large, or asks for what cannot be kept to; the
            message names a keyword of JSON Schema at most.
    """
    if len(schema) > MAX_SCHEMA_LENGTH:
        raise RequestRefusedError(f"The schema has more than {MAX_SCHEMA_LENGTH} characters.")
    try:
        root = json.loads(schema, parse_constant=_no_number)
        regex = SPACE + _Translation(root).of(root, ())
        regex.encode()  # a lone surrogate
        return regex
    except (ValueError, RecursionError):
        raise RequestRefusedError("The schema cannot be read as JSON.") from None


class _Translation:
    """One schema, and how much of it has been translated."""

    def __init__(self, root: Any) -> None:  # noqa: ANN401  # JSON
        self._root = root
        self._parts = 0

    def of(self, schema: Any, references: tuple[str, ...], depth: int = 0) -> str:  # noqa: ANN401  # JSON
        """Translate one part; `references` are those it was reached by."""
        self._parts += 1
        if self._parts > MAX_PARTS or depth > MAX_DEPTH:
            raise RequestRefusedError(
                f"The schema is too large: up to {MAX_PARTS} parts, {MAX_DEPTH} deep."
            )
        if not isinstance(schema, dict):
            raise _bad("a schema that is no object")

        regex = self._translated(schema, references, depth)
        if len(regex) > MAX_REGEX:
            raise RequestRefusedError("The schema allows too many different answers.")
        return regex

    def _translated(
        self, schema: Mapping[str, Any], references: tuple[str, ...], depth: int
    ) -> str:
        def inner(part: Any) -> str:  # noqa: ANN401  # JSON
            return self.of(part, references, depth + 1)

        if "$ref" in schema:
            _only(schema, {"$ref"})
            name = schema["$ref"]
            if name in references:
                raise _bad("a $ref to itself")
            return self.of(self._find(name), (*references, name), depth + 1)
        if "anyOf" in schema:
            _only(schema, {"anyOf"})
            return _any(inner(part) for part in _list(schema, "anyOf"))
        types = _types(schema)
        if "const" in schema or "enum" in schema:
            _only(schema, {"const", "enum", "type"})
            return _any(map(_literal, _values(schema, types)))
        _only(schema, {"type"}.union(*(ALLOWED[name] for name in types)))
        if not types:
            raise _bad("a part without type, enum, const, anyOf or $ref")
        return _any(_TYPES[name](schema, inner) for name in types)

    def _find(self, name: Any) -> Any:  # noqa: ANN401  # JSON
        if not isinstance(name, str) or not name.startswith("#/"):
            raise _bad("a $ref that leads elsewhere")
        found = self._root
        for step in name[2:].split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or key not in found:
                raise _bad("a $ref that leads nowhere")
            found = found[key]
        return found


Inner = Callable[[Any], str]


def _object(schema: Mapping[str, Any], inner: Inner) -> str:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        raise _bad("an object without properties")
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(name in properties for name in required):
        raise _bad("required")
    members = [
        (f"{_literal(name)}:{SPACE}{inner(part)}", name in required)
        for name, part in properties.items()
    ]
    # What follows once a member has been written, and what may come when none has.
    later, first = "", ""
    for text, must in reversed(members):
        first = f"{text}{later}" if must else _any([f"{text}{later}", first])
        later = f",{SPACE}{text}{later}" if must else f"(?:,{SPACE}{text})?{later}"
    return rf"\{{{first}\}}"


def _array(schema: Mapping[str, Any], inner: Inner) -> str:
    if "items" not in schema:
        raise _bad("an array without items")
    least, most = _range(schema, "minItems", "maxItems")
    item = inner(schema["items"])
    if most == 0:
        return r"\[\]"
    more = f"(?:,{SPACE}{item}){_times(max(least - 1, 0), None if most is None else most - 1)}"
    return rf"\[{item}{more}\]" if least else rf"\[(?:{item}{more})?\]"


def _string(schema: Mapping[str, Any], _: Inner) -> str:
    least, most = _range(schema, "minLength", "maxLength")
    if (least, most) == (0, None):
        return f'"(?:{CHARACTER}|{ESCAPED})*"'
    return f'"{CHARACTER}{_times(least, most)}"'  # counted escapes take exponential time to compile


def _integer(schema: Mapping[str, Any], _: Inner) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is None and most is None:
        return INTEGER
    if type(least) is not int or type(most) is not int or not 0 <= most - least <= MAX_INTEGERS:
        raise _bad("minimum and maximum, unless both are whole and close together")
    return _any(map(str, range(least, most + 1)))


_TYPES: dict[str, Callable[[Mapping[str, Any], Inner], str]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": lambda _schema, _inner: NUMBER,
    "boolean": lambda _schema, _inner: "(?:true|false)",
    "null": lambda _schema, _inner: "null",
}
_IS = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: type(value) is int,
    "number": lambda value: type(value) in (int, float),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


def _types(schema: Mapping[str, Any]) -> list[str]:
    found = schema.get("type", [])
    types = [found] if isinstance(found, str) else found
    if not isinstance(types, list) or not all(isinstance(t, str) and t in ALLOWED for t in types):
        raise _bad("type")
    return types


def _values(schema: Mapping[str, Any], types: list[str]) -> list[Any]:
    values = _list(schema, "enum") if "enum" in schema else [schema["const"]]
    if "const" in schema and "enum" in schema:
        raise _bad("const beside enum")
    if len(values) > MAX_ENUM or any(isinstance(value, dict | list) for value in values):
        raise _bad(f"enum, unless of up to {MAX_ENUM} plain values")
    if types and not all(any(_IS[name](value) for name in types) for value in values):
        raise _bad("a value of another type")
    return values


def _literal(value: Any) -> str:  # noqa: ANN401  # JSON
    return re.escape(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _no_number(name: str) -> None:
    raise ValueError(name)  # NaN and the infinities, which are no JSON


def _list(schema: Mapping[str, Any], key: str) -> list[Any]:
    found = schema[key]
    if not isinstance(found, list) or not found:
        raise _bad(key)
    return found


def _range(schema: Mapping[str, Any], low: str, high: str) -> tuple[int, int | None]:
    least, most = schema.get(low, 0), schema.get(high)
    for value in (least, 0 if most is None else most):
        if type(value) is not int or not 0 <= value <= MAX_LENGTH:
            raise _bad(f"{low} or {high} beyond {MAX_LENGTH}")
    if most is not None and most < least:
        raise _bad(f"{high} below {low}")
    return least, most


def _times(least: int, most: int | None) -> str:
    return f"{{{least},{'' if most is None else most}}}"


def _any(texts: Any) -> str:  # noqa: ANN401  # an iterable of regular expressions
    return f"(?:{'|'.join(texts)})"


def _only(schema: Mapping[str, Any], allowed: set[str]) -> None:
    for key in schema.keys() - NOTES - allowed:
        raise _bad(key if key in KEYWORDS else "a keyword that is not JSON Schema's")


def _bad(what: str) -> RequestRefusedError:
    return RequestRefusedError(f"This worker cannot keep to a schema with {what}.")
