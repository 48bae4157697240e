"""The rows of ``defenses``: what each defence left of each leak, and what it cost in utility."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hartley.engine.defend import ADAPTIVE, STATIC, coverage
from hartley.engine.result.document import figure, interval

Row = Mapping[str, Any]


def shields(
    guards: Sequence[Row],
    channels: Sequence[Row],
    behind: Sequence[tuple[Row, Row]],
    utilities: Mapping[str, Row],
) -> list[dict[str, Any]]:
    """Return one row a defence.

    Args:
        guards: what each defence declares, in the plan's order.
        channels: the rows without any defence added.
        behind: (line, row) of every attack behind a defence; the line names defence and attacker.
        utilities: journal records of the utilities by defence, the bare scene's under "".
    """
    bare = {row["attack"]: row for row in channels}
    return [_shield(guard, bare, behind, utilities) for guard in guards]


def _shield(
    guard: Row,
    bare: Mapping[str, Row],
    behind: Sequence[tuple[Row, Row]],
    utilities: Mapping[str, Row],
) -> dict[str, Any]:
    mine = [(line, row) for line, row in behind if line["defense"] == guard["name"]]
    residual: dict[str, Any] = {}
    covered: dict[str, Any] = {}
    for attack in dict.fromkeys(row["attack"] for _, row in mine):
        rows = {line["knowledge"]: row for line, row in mine if row["attack"] == attack}
        before = interval(bare[attack]) if attack in bare else None
        after = {knows: interval(row) for knows, row in rows.items()}
        reasons = [
            f"{knows}: {row['reason']}"
            for knows, row in rows.items()
            if row["status"] != "measured"
        ]
        residual[attack] = {
            "undefended": before,
            "static": after.get(STATIC),
            "adaptive": after.get(ADAPTIVE),
            "reason": "; ".join(reasons) or None,
        }
        share = coverage(before, [one for one in after.values() if one is not None])
        if share is not None:
            covered[attack] = share
    used = utilities.get(guard["name"], {})
    left, right = utilities.get("", {}).get("values", {}), used.get("values", {})
    reason = guard["reason"] or used.get("reason")
    return {
        **guard,
        "reason": reason,
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
        "adaptive": any(one["adaptive"] is not None for one in residual.values()),
    }
