"""Rows of a comparison of two runs in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hartley.report.format_numbers import NOTHING, number, span

HEAD = ("Attack", "First", "Second", "Difference", "Status", "How")


def label(row: Mapping[str, Any]) -> str:
    """Return the name of a row: its attack, and what it is behind."""
    added = row["defenses"] and not row["baseline"]
    behind = f" behind {'+'.join(row['defenses'])}, {row['knowledge']}" if added else ""
    return f"{row['attack']}{behind}"


def cells(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the cells of a row of a comparison, below ``HEAD``: (value, words below it)."""
    between = row["difference"]
    sides = [_ends(row[side]) for side in ("first", "second")]
    if between is None:
        ends, how = (NOTHING, ""), str(row["reason"])
    else:
        low, high = _signed(between["low"]), _signed(between["high"])
        ends, how = (_signed(between["point"]), f"[{low}, {high}]"), str(between["how"])
    status = (str(row["status"]), "" if between is None else str(row["reason"]))
    return [(label(row), str(row["matched"] or "")), *sides, ends, status, (how, "")]


def _ends(value: Mapping[str, Any] | None) -> tuple[str, str]:
    if not value:
        return NOTHING, ""
    return number(value["point"]), span(value["low"], value["high"])


def _signed(value: float) -> str:
    text = number(value if abs(value) > 1e-9 else 0.0)  # else round-off
    return text if value <= 0 or text.strip("0.") == "" else f"+{text}"
