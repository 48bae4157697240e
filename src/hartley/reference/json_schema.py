"""Hold a JSON value against a JSON schema, by the keywords that ``run.schema.json`` uses.

``jsonschema`` would do the same, but is not a dependency: a gate must not depend on what happens
to be installed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any


def _is_number(value: Any) -> bool:
    """Whether it is a number that a float can hold; JSON may write one of 400 digits."""
    try:
        return type(value) in (float, int) and math.isfinite(value)
    except OverflowError:
        return False


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": lambda value: isinstance(value, list | tuple),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: _is_number(value) and value == int(value),
    "number": _is_number,
}
_BOUNDS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "minimum": (lambda value, bound: value >= bound, "at least"),
    "maximum": (lambda value, bound: value <= bound, "at most"),
    "exclusiveMinimum": (lambda value, bound: value > bound, "above"),
    "exclusiveMaximum": (lambda value, bound: value < bound, "below"),
}
_NOTES = {"$schema", "$id", "$defs", "title", "description"}
KEYWORDS = _NOTES | {
    *("$ref", "type", "const", "enum", "required", "properties", "additionalProperties"),
    *("items", "prefixItems", "minItems", "pattern", "anyOf", "if", "then", "else", *_BOUNDS),
}
"""What a schema may say here; a test holds ``run.schema.json`` to it."""


def faults(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with a value, one sentence each.

    Args:
        value: the parsed JSON.
        schema: what it must be.
        root: the whole schema, for its ``$ref``.
    """
    yield from _faults(value, schema, root, "")


def _faults(
    value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    if _is_of_plain_type(value, schema):
        return
    if (ref := schema.get("$ref")) is not None:
        named = root
        for step in ref.removeprefix("#/").split("/"):
            named = named[step]
        yield from _faults(value, named, root, at)
    place = at or "the document"
    kinds = schema.get("type", ())
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        yield f"{place} must be of type {' or '.join(kinds)}, got {_shown(value)}"
        return
    yield from _of_value(value, schema, place)
    if isinstance(value, Mapping):
        yield from _of_object(value, schema, root, at)
    elif isinstance(value, list | tuple):
        yield from _of_array(value, schema, root, at)
    if "anyOf" in schema:
        firsts = [next(_faults(value, choice, root, at), None) for choice in schema["anyOf"]]
        if None not in firsts:
            yield str(firsts[0])
    if "if" in schema:
        holds_if = next(_faults(value, schema["if"], root, at), None) is None
        yield from _faults(value, schema.get("then" if holds_if else "else", {}), root, at)


def _is_of_plain_type(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether the schema asks for a type alone, as of most numbers, and the value is of it."""
    kinds = schema.get("type")
    if kinds is None or len(schema) > 1 + ("description" in schema):
        return False
    return any(_TYPES[kind](value) for kind in ((kinds,) if isinstance(kinds, str) else kinds))


def _of_value(value: Any, schema: Mapping[str, Any], place: str) -> Iterator[str]:
    if "const" in schema and not _same(value, schema["const"]):
        yield f"{place} must be {schema['const']!r}, got {_shown(value)}"
    if "enum" in schema and not any(_same(value, word) for word in schema["enum"]):
        words = ", ".join("null" if word is None else str(word) for word in schema["enum"])
        yield f"{place} must be one of {words}, got {_shown(value)}"
    if _TYPES["number"](value):
        for keyword, (holds, words) in _BOUNDS.items():
            if keyword in schema and not holds(value, schema[keyword]):
                yield f"{place} must be {words} {schema[keyword]}, got {_shown(value)}"
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        yield f"{place} must match {schema['pattern']}, got {_shown(value)}"


def _of_object(
    value: Mapping[str, Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    place = at or "the document"
    yield from (
        f"{place} must have {name!r}" for name in schema.get("required", ()) if name not in value
    )
    known, more = schema.get("properties", {}), schema.get("additionalProperties", True)
    for name, item in value.items():
        inside = f"{at}.{name}" if at else name
        if name in known:
            yield from _faults(item, known[name], root, inside)
        elif more is False:
            yield f"{place} must not have {name!r}"
        elif more is not True:
            yield from _faults(item, more, root, inside)


def _of_array(
    value: Sequence[Any], schema: Mapping[str, Any], root: Mapping[str, Any], at: str
) -> Iterator[str]:
    place = at or "the document"
    if len(value) < schema.get("minItems", 0):
        yield f"{place} must have at least {schema['minItems']} items, got {len(value)}"
    first, rest = schema.get("prefixItems", ()), schema.get("items", True)
    for index, item in enumerate(value):
        each = first[index] if index < len(first) else rest
        if each is False:
            yield f"{place} must have at most {len(first)} items, got {len(value)}"
            return
        if each is not True:
            yield from _faults(item, each, root, f"{at}[{index}]")


def _same(value: Any, wanted: Any) -> bool:
    """Equality of JSON, in which true is not 1."""
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple):
        return "an object" if isinstance(value, Mapping) else "an array"
    text = "null" if value is None else repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
