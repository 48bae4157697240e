"""The comparison with the run of the last release, as pages show it: a table, and what has no pair.

``hartley gate --against EARLIER --save`` keeps it in the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hartley.report.format_numbers import NOTHING, bits, count, span

HEAD = ("attack", "before", "now", "difference", "answer", "why")


def of_verdict(verdict: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the comparison of a verdict for a page; None where there was none.

    Args:
        verdict: of a run document, or the one that was saved.

    Returns:
        ``title``, ``head``, ``rows`` (cells of text, one row for each pair of rows) and ``notes``,
        sentences on rows of one run alone.
    """
    comparison = verdict.get("against")
    if not comparison:
        return None
    waived = {
        check["row"]
        for check in verdict.get("checks") or ()
        if check["limit"] == "against" and check["status"] == "pass" and check.get("waiver")
    }
    sides = (("only_first", "gone"), ("only_second", "new, with nothing to compare it with"))
    return {
        "title": f"Compared with {comparison['first']['id']}",
        "head": HEAD,
        "rows": [_cells(row, row["id"] in waived) for row in comparison["rows"]],
        "notes": [
            f"{count(len(rows), 'row')} of one run alone, {words}: {', '.join(map(_label, rows))}."
            for side, words in sides
            if (rows := comparison[side])
        ],
    }


def _cells(row: Mapping[str, Any], waived: bool) -> list[str]:
    between = row["difference"]
    return [
        _label(row),
        *(_interval(row[side]) for side in ("first", "second")),
        _interval(between, signed=True),
        row["status"] + ", waived" * waived,
        f"{row['reason']}; {between['how']}" if between else str(row["reason"]),
    ]


def _interval(value: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    if not value or value.get("point") is None:
        return NOTHING
    plus = "+" * (signed and value["point"] >= 5e-5)
    return f"{plus}{bits(value['point'])} {span(value.get('low'), value.get('high'))}"


def _label(row: Mapping[str, Any]) -> str:
    added = row["defenses"] and not row["baseline"]
    return str(row["attack"]) + (f" behind {'+'.join(row['defenses'])}" if added else "")
