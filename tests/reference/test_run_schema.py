"""A reader of version 1 refuses every other version in words."""

import json
from collections.abc import Iterator
from enum import StrEnum
from importlib.resources import files
from typing import Any

import pytest

from hartley.core import AnswerForm, Axis, Flow, Knowledge, Modality, Role, Term
from hartley.core.errors import UsageError
from hartley.reference import RUN_SCHEMA, check_schema

GOOD = {
    "schema": RUN_SCHEMA,
    "id": "x",
    "version": "0",
    "scene": {},
    "channels": [{"status": "skipped"}],
    "verdict": {},
}


def test_version_1_is_read() -> None:
    assert check_schema(GOOD) is GOOD


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "hartley.run/3"}, "schema must be 'hartley.run/2'.*got 'hartley.run/3'"),
        ({"schema": "hartley.run/10"}, "hartley.run/10"),
        ({"schema": 1}, "schema must be .*, got 1"),
        ({"schema": None}, "must have 'schema'"),
        ({"channels": {}}, "'channels' has the wrong type"),
        ({"channels": [{"status": "fine"}]}, r"channels\[0\]\.status must be one of"),
        ({"channels": ["x"]}, r"channels\[0\]"),
        ({"verdict": None}, "'verdict'"),
    ],
)
def test_everything_else_is_refused_in_words(change: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check_schema(GOOD | change)


@pytest.mark.parametrize("junk", [None, [], "run", 3])
def test_what_is_no_document_is_refused(junk: object) -> None:
    with pytest.raises(UsageError, match="a run document must"):
        check_schema(junk)


def test_a_missing_key_is_named() -> None:
    less = {key: value for key, value in GOOD.items() if key != "scene"}
    with pytest.raises(UsageError, match="'scene' is missing"):
        check_schema(less)


@pytest.mark.parametrize(
    ("name", "enum"),
    [
        ("axis", Axis),
        ("flow", Flow),
        ("term", Term),
        ("modality", Modality),
        ("role", Role),
        ("form", AnswerForm),
        ("knowledge", Knowledge),
    ],
)
def test_the_schema_knows_every_word_of_the_taxonomy(name: str, enum: type[StrEnum]) -> None:
    schema = json.loads(files("hartley.reference").joinpath("run.schema.json").read_text())
    words = schema["$defs"]["row"]["properties"][name]["enum"]
    assert {word for word in words if word} == set(map(str, enum))


OPEN = {
    *("facts", "params", "game_params", "setting", "cost"),  # any names, with plain values
    *("choice", "weakest_cut"),
    "additionalProperties",  # the tables of a plan
}


def _open(node: Any, name: str = "") -> Iterator[str]:
    """The objects of a schema that say nothing about what they hold."""
    if isinstance(node, dict):
        if "object" in node.get("type", ()) and not {"properties", "additionalProperties"} & set(
            node
        ):
            yield name
        for key, value in node.items():
            yield from _open(value, key)


def test_the_schema_types_whatever_a_report_reads() -> None:
    schema = json.loads(files("hartley.reference").joinpath("run.schema.json").read_text())
    assert set(_open(schema)) <= OPEN
