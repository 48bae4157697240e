"""The rows of ``defenses``: what each defense left of each leak, and what it cost in utility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hartley.core import Knowledge
from hartley.engine.defend import coverage
from hartley.engine.result.document import figure, interval
from hartley.reference.schema import baseline_rows

Row = Mapping[str, Any]


def defense_rows(
    declared: Sequence[Row], channels: Sequence[Row], utilities: Mapping[str, Row]
) -> list[dict[str, Any]]:
    """Return one row for each defense, or set of defenses, that was added to the baseline.

    Args:
        declared: what each defense declares, in the plan's order; ``name`` joins several by ``+``.
        channels: all rows of the document; ``baseline_id`` of a row behind a defense names the row
            that it is compared with, ``added`` the defenses that were added to it.
        utilities: journal records of the utilities by the defenses added, the baseline's under "".
    """
    by_id = {row["id"]: row for row in channels}
    labels = {row["id"]: row["attack"] for row in baseline_rows({"channels": channels})}
    return [_defense_row(row, by_id, labels, channels, utilities) for row in declared]


def _defense_row(
    declared: Row,
    by_id: Mapping[str, Row],
    labels: Mapping[str, str],
    channels: Sequence[Row],
    utilities: Mapping[str, Row],
) -> dict[str, Any]:
    defended_rows = [row for row in channels if row.get("added") == declared["name"]]
    residual: dict[str, Any] = {}
    covered: dict[str, Any] = {}
    for baseline_id in dict.fromkeys(row["baseline_id"] for row in defended_rows):
        rows = {
            row["experiment"]["knowledge"]: row
            for row in defended_rows
            if row["baseline_id"] == baseline_id
        }
        before = interval(by_id[baseline_id]) if baseline_id in by_id else None
        after = {knowledge: interval(row) for knowledge, row in rows.items()}
        reasons = [
            row["reason"] if row["cause"] == "adapts" else f"{knowledge}: {row['reason']}"
            for knowledge, row in rows.items()
            if row["status"] != "measured"
        ]
        residual[baseline_id] = {
            "attack": labels.get(baseline_id, next(iter(rows.values()))["attack"]),
            "undefended": before,
            "static": after.get(Knowledge.STATIC),
            "adaptive": after.get(Knowledge.ADAPTIVE),
            "tuned": _tuned(rows.get(Knowledge.ADAPTIVE, {}).get("tuning")),
            "rows": {knowledge: row["id"] for knowledge, row in rows.items()},
            "reason": "; ".join(reasons) or None,
        }
        measured = [knowledge for knowledge, value in after.items() if value is not None]
        share = coverage(before, [value for value in after.values() if value is not None])
        if share is not None:
            covered[baseline_id] = {**share, "attackers": measured}
    utility = utilities.get(declared["name"], {})
    left, right = utilities.get("", {}).get("values", {}), utility.get("values", {})
    return {
        **declared,
        "reason": declared["reason"] or utility.get("reason"),
        "utility": {
            name: {
                "before": figure(left[name]) if name in left else None,
                "after": figure(right[name]) if name in right else None,
            }
            for name in dict.fromkeys([*left, *right])
        },
        "residual": residual,
        "coverage": covered,
        "relative_to_suite": True,
        "adaptive": any(effect["adaptive"] is not None for effect in residual.values()),
    }


def _tuned(tuning: Row | None) -> dict[str, Any] | None:
    """Return an adaptive attacker's choice among its settings, and its bits on tuning rounds."""
    if tuning is None:
        return None
    record = {name: tuning[name] for name in ("setting", "bits", "rounds")}
    return {**record, "settings": len(tuning["tried"])}
