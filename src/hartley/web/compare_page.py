"""Two runs compared: what ``hartley compare`` prints, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hartley.core.control_characters import one_line, visible_values
from hartley.engine.result.compare_runs import MARGIN, Side, compare_runs
from hartley.report import compared
from hartley.report.format_numbers import metric, percent, plain, quantity
from hartley.web.addresses import row_path
from hartley.web.stored import DAMAGED, Run

TONES = {"worse": "over", "better": "pass", "no worse": "pass", "open": "inconclusive"}
ABSENT = ": only in the first run"


def compared_or_why(sides: Sequence[Run], margin: str) -> dict[str, Any]:
    """Return ``result``, or the ``problem`` for which there is none.

    Args:
        sides: the run to compare with, and the run in question.
        margin: share of the secret that a row may leak more and still count as no worse, as it was
            typed; empty for the usual one.
    """
    share = _share(margin)
    if share is None:
        problem = f"the margin must be a share in 0..1, got {one_line(margin, 40)!r}"
        return {"problem": problem}
    for side in sides:
        if side.document is None or side.progress is not None or side.state == DAMAGED:
            why = one_line(side.doubt or "it is not finished")
            return {"problem": f"{one_line(side.name)} cannot be compared: {why}"}
    return {"result": _compared(sides, share)}


def _share(text: str) -> float | None:
    """Return a share that was typed, with a point or a comma; None where it is none."""
    if not text.strip():
        return MARGIN
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None  # not of NaN either


def _compared(sides: Sequence[Run], margin: float) -> dict[str, Any]:
    documents = [side.document for side in sides]
    assert documents[0] is not None and documents[1] is not None
    first, second = (
        Side(document, side.load)
        for document, side in zip((documents[0], documents[1]), sides, strict=True)
    )
    comparison = visible_values(compare_runs(first, second, margin=margin))
    table = compared.of_verdict({"against": comparison})
    assert table is not None
    lines = [
        {
            "cells": cells,
            "tone": TONES.get(row["status"], "inconclusive"),
            "href": row_path(sides[1].name, str(row["id"])),
        }
        for row, cells in zip(comparison["rows"], table["rows"], strict=True)
    ]
    facts = [
        (plain(name), str(comparison["first"][name])[:64], str(comparison["second"][name])[:64])
        for name in ("scene", "digest", "seed", "version")
        if comparison["first"][name] != comparison["second"][name]
    ]
    notes = list(table["notes"])
    if sides[0].name == sides[1].name:
        notes.append("The run is compared with itself.")
    return {
        "status": comparison["status"],
        "tone": TONES.get(comparison["status"], "inconclusive"),
        "reasons": _folded(comparison["reasons"]),
        "margin": percent(margin),
        "head": [name.capitalize() for name in table["head"]],
        "lines": lines,
        "facts": facts,
        "utility": list(_utility(comparison["utility"])),
        "notes": notes,
        "doubts": [f"{one_line(s.name)}: {one_line(s.doubt)}" for s in sides if s.doubt],
    }


def _utility(pairs: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield (measure, in the first run, in the second) of what both runs measured."""
    for name, pair in pairs.items():
        first, second = (" ".join(quantity(pair[side])) for side in ("first", "second"))
        yield metric(name), first, second


def _folded(reasons: Sequence[str]) -> list[str]:
    """Return reasons with all rows that the second run lacks in one line: it may lack hundreds."""
    absent = [reason.removesuffix(ABSENT) for reason in reasons if reason.endswith(ABSENT)]
    if len(absent) < 2:
        return list(reasons)
    others = [reason for reason in reasons if not reason.endswith(ABSENT)]
    return [*others, f"{len(absent)} rows are only in the first run: {', '.join(absent)}"]
