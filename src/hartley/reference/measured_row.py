"""What ``hartley measure --json`` prints, read as a run document of one row.

So a table of another tool is judged, rendered and compared like a run. Nothing vouches for it: the
gate judges it unverified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hartley.core.taxonomy import AXES, EDITION

MEASURED = "hartley.measured/1"
"""The schema that such a document names."""

TABLE = "a table"
"""The origin of its row."""

_ABSENT = ("axis", "flow", "term", "paper", "reason", "cause", "loot")


def as_run(measured: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run document of a measured row.

    Its id and its scene are the row's label; the digest of the scene is that of the table's rows,
    empty where an earlier version wrote none. What only a game knows (the access, the victim's
    modality, the parameters) is empty, and the modality is tabular, as trials are a table.
    """
    row = {name: value for name, value in measured.items() if name not in _APART}
    label, digest = row.get("attack"), measured.get("rows_digest") or ""
    row |= {
        "id": label,
        "baseline": True,
        "modality": "tabular",
        "summary": "Trials of a table.",
        "origin": TABLE,
        "access": [],
        "tags": [],
        "experiment": {"stages": [], "defenses": [], "knowledge": "none", "replicate": 0},
    }
    row = {**dict.fromkeys(_ABSENT), **row, "axis": _axis(row.get("class"))}
    return {
        "schema": "hartley.run/2",
        "id": label,
        "created": "",
        "version": measured.get("version"),
        "seed": 0,
        "scene": {"name": label, "digest": digest, "modality": "tabular", "facts": {}},
        "plan": {},
        "host": measured.get("host"),
        "channels": [row],
        "edges": [],
        "loops": [],
        "weakest_cut": None,
        "defenses": [],
        "choice": None,
        "verdict": {"status": "pass", "reasons": [], "checks": []},
        "notes": [f"{label}: {flag}" for flag in row.get("flags") or ()],
    }


_APART = ("schema", "version", "host", "rows_digest", "ignored_columns")
"""Fields of the document that are not the row's."""


def _axis(name: Any) -> str | None:
    axis = AXES[EDITION].get(name) if isinstance(name, str) else None
    return None if axis is None else str(axis)
