"""Which run documents this version reads: one definition, for the store, the report and the gate.

``run.schema.json`` beside this file states the whole shape, ``row_rules`` what a schema cannot say.
Runs of version 1 are brought up to version 2 as they are read; every other version is
refused in words, and never misread.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import chain
from typing import Any

from hartley.core.errors import UsageError
from hartley.reference.json_schema import faults
from hartley.reference.measured_row import MEASURED, as_run
from hartley.reference.row_rules import broken_rules
from hartley.reference.version_1 import OLD_SCHEMA, from_version_1

RUN_SCHEMA = "hartley.run/2"
"""The version that this Hartley writes."""

REQUIRED: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "version": str,
    "scene": Mapping,
    "channels": (list, tuple),
    "verdict": Mapping,
}


def check_schema(document: object) -> Mapping[str, Any]:
    """Return the run document when this version can read it.

    Raises:
        UsageError: not a run document, of another version, or without the fields of every run.
    """
    if not isinstance(document, Mapping):
        raise UsageError(f"a run document must be an object, got {type(document).__name__}")
    schema = document.get("schema")
    if schema is None:
        raise UsageError(f"a run document must have 'schema': {RUN_SCHEMA!r}, got none")
    if schema == MEASURED:
        document, schema = as_run(document), RUN_SCHEMA
    if schema not in (RUN_SCHEMA, OLD_SCHEMA):
        raise UsageError(
            f"schema must be {RUN_SCHEMA!r} or {OLD_SCHEMA!r}, got {schema!r}; "
            "use the Hartley that wrote the run, or a newer one"
        )
    for key, kind in REQUIRED.items():
        if not isinstance(document.get(key), kind):
            state = "is missing" if key not in document else "has the wrong type"
            raise UsageError(f"damaged run document: {key!r} {state}")
    for index, row in enumerate(document["channels"]):
        if not isinstance(row, Mapping) or row.get("status") not in STATUSES:
            raise UsageError(
                f"damaged run document: channels[{index}].status must be one of "
                f"{', '.join(STATUSES)}"
            )
    return document if schema == RUN_SCHEMA else from_version_1(document)


def check_document(document: object) -> Mapping[str, Any]:
    """Return a run document of which every field is what the schema says.

    Documents of version 1, which lack fields of version 2, are held to the rules of rows alone.

    Raises:
        UsageError: it is not; the message names the first field that is wrong.
    """
    known = check_schema(document)
    old = isinstance(document, Mapping) and document.get("schema") == OLD_SCHEMA
    wrong = iter(()) if old else faults(known, _schema(), _schema())
    fault = next(chain(wrong, broken_rules(known)), None)
    if fault is not None:
        raise UsageError(f"damaged run document: {fault}")
    return known


@cache
def _schema() -> Mapping[str, Any]:
    text = files("hartley.reference").joinpath("run.schema.json").read_text(encoding="utf-8")
    schema: Mapping[str, Any] = json.loads(text)
    return schema


STATUSES = ("measured", "skipped", "failed")
"""How a row of ``channels`` may end."""


def baseline_rows(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows without any added defense, for which limits hold, each with a label.

    A row is labelled after its attack; where several rows are of one attack, after its id.
    """
    rows = [row for row in document["channels"] if row.get("baseline", True)]
    labels = [row["attack"] for row in rows]
    return [
        {**row, "attack": row["id"] if labels.count(row["attack"]) > 1 else row["attack"]}
        for row in rows
    ]


UNASKED = "none"
"""The verdict on a run without limits."""


def verdict_of(verdict: Mapping[str, Any]) -> str:
    """Return in one word what the verdict of a run document says: its status, or ``none``.

    Without limits the document's status is ``pass`` (exit code 0), but nothing was checked. A
    reader must not show that as a pass.
    """
    status = str(verdict.get("status"))
    return UNASKED if status == "pass" and not verdict.get("checks") else status


def waived(verdict: Mapping[str, Any]) -> str:
    """Say how many limits of rows a verdict keeps by waivers alone, and until when; or nothing."""
    ends = [w["expires"] for w in verdict.get("waivers") or () if w.get("state") == "used"]
    limits = "1 limit" if len(ends) == 1 else f"{len(ends)} limits"
    return f"{limits} waived until {min(ends)}" if ends else ""
