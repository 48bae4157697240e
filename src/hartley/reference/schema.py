"""Which run documents this version reads: one definition, for the store, the report and the gate.

``run.schema.json`` beside this file states the whole shape; here stands the check that needs no
library: a reader of version 1 refuses every other version in words, and never misreads it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hartley.core.errors import UsageError

RUN_SCHEMA = "hartley.run/1"
"""The one version that this Hartley writes and reads."""

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
        UsageError: it is no run document, of another version, or lacks what every run has.
    """
    if not isinstance(document, Mapping):
        raise UsageError(f"not a run document: expected an object, got {type(document).__name__}")
    found = document.get("schema")
    if found is None:
        raise UsageError(
            f"not a run document: it has no 'schema'; expected 'schema': {RUN_SCHEMA!r}"
        )
    if found != RUN_SCHEMA:
        raise UsageError(
            f"cannot read schema {found!r}: this Hartley reads {RUN_SCHEMA!r}; "
            "use the Hartley that wrote the run, or a newer one"
        )
    for key, kind in REQUIRED.items():
        if not isinstance(document.get(key), kind):
            state = "is missing" if key not in document else "has the wrong type"
            raise UsageError(f"damaged run document: {key!r} {state}")
    for index, row in enumerate(document["channels"]):
        if not isinstance(row, Mapping) or row.get("status") not in STATUSES:
            raise UsageError(
                f"damaged run document: channels[{index}] has no status "
                f"out of {', '.join(STATUSES)}"
            )
    return document


STATUSES = ("measured", "skipped", "failed")
"""How a row of ``channels`` may end."""

UNASKED = "none"
"""The verdict on a run that nobody set a limit for."""


def verdict_of(verdict: Mapping[str, Any]) -> str:
    """Return in one word what the verdict of a run document says: its status, or ``none``.

    Nothing failed and nothing was asked: the document's status is then ``pass`` with no check
    behind it (its exit code is 0), and no reader may call that a pass.
    """
    status = str(verdict.get("status"))
    return UNASKED if status == "pass" and not verdict.get("checks") else status
