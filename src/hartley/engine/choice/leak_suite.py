"""The leak matrix of a run: attacks × defenses, as shares of the secret, with what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hartley.core import Knowledge
from hartley.core.errors import UnknownName, UsageError
from hartley.infotheory.coverage_index import Leaks
from hartley.reference import objective_of

Row = Mapping[str, Any]
KNOWLEDGES = (str(Knowledge.STATIC), str(Knowledge.ADAPTIVE))


@dataclass(frozen=True, slots=True)
class Suite:
    """What a run measured of its defenses.

    Attributes:
        leaks: shares of the secret, which compare unlike secrets, of cells that defenses claim;
            open cells are NaN.
        whole: the same with the cells that were played beside these.
        rows: (A) baseline rows of the attacks.
        behind: (attack, defense, knowledge) → the row behind a defense.
        declared: (D) rows of ``defenses``.
        beside: (A, D) cells that were played although the defense does not claim them.
        reasons: (attack, defense) → why a cell is open, or has no adaptive attacker.
        utilities: metric → (D, 3) value, lower and upper end behind each defense, NaN where it was
            not measured.
        before: metric → (3,) the same without a defense.
        left_out: name of a defense or attack → why it is not in the matrix.
        outside: attacks that no defense of the run claims.
    """

    leaks: Leaks
    whole: Leaks
    rows: tuple[Row, ...]
    behind: Mapping[tuple[int, int, str], Row]
    declared: tuple[Row, ...]
    beside: NDArray[np.bool_]
    reasons: Mapping[tuple[int, int], str]
    utilities: Mapping[str, NDArray[np.float64]]
    before: Mapping[str, NDArray[np.float64]]
    left_out: Mapping[str, str]
    outside: tuple[str, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the attacks, each different: with the id where one was played twice."""
        names = [row["attack"] for row in self.rows]
        return tuple(
            row["id"] if names.count(row["attack"]) > 1 else row["attack"] for row in self.rows
        )

    @property
    def objectives(self) -> tuple[str, ...]:
        """(A) Seed B's split: safety of the model, or security of the system."""
        return tuple(objective_of(row.get("flow")) for row in self.rows)


def suite_of(document: Mapping[str, Any], *, attacks: Sequence[str] = ()) -> Suite:
    """Return the leak matrix of a run.

    Args:
        document: the run document.
        attacks: patterns of attacks, games or classes to keep; all when empty.

    Raises:
        UsageError: the run was played without defenses, or none of its cells was measured.
        UnknownName: a pattern matches no attack of the run behind a defense.
    """
    declared = [row for row in document.get("defenses") or () if row.get("residual") is not None]
    if not declared:
        raise UsageError(
            f"a choice of defenses must be given a run with defenses, got {document['id']} without "
            "one; order them with: hartley assess --defense NAME, or in a plan"
        )
    by_id = {row["id"]: row for row in document["channels"]}
    ids = dict.fromkeys(key for row in declared for key in row["residual"])
    baseline = [by_id[key] for key in ids if key in by_id]
    left_out = {
        row["attack"]: f"not measured without a defense: {row['reason']}"
        for row in baseline
        if row["status"] != "measured"
    }
    left_out |= {
        row["attack"]: f"flagged without a defense: {row['flags'][0]}"
        for row in baseline
        if row["status"] == "measured" and row.get("flags")
    }
    rows = [row for row in baseline if row["status"] == "measured" and not row.get("flags")]
    rows = _matching(rows, attacks)
    kept_ids = {row["id"] for row in rows}
    candidates = []
    for row in declared:
        if row.get("reason"):
            left_out[row["name"]] = row["reason"]
        elif not any(_measured(row["residual"].get(key), by_id) for key in kept_ids):
            left_out[row["name"]] = _why_empty(row, kept_ids)
        else:
            candidates.append(row)
    if not candidates:
        first = "; ".join(f"{name}: {reason}" for name, reason in list(left_out.items())[:3])
        raise UsageError(
            f"a choice must have at least one measured cell behind a defense, got none in "
            f"{document['id']}{f' ({first})' if first else ''}"
        )
    claimed = {row["attack"] for row in baseline}
    return Suite(
        *_cells(rows, candidates, by_id),
        *_utilities(candidates),
        left_out=left_out,
        outside=tuple(
            row["attack"]
            for row in document["channels"]
            if row.get("baseline", True)
            and row["status"] == "measured"
            and row["attack"] not in claimed
        ),
    )


def _matching(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    def named(row: Row) -> tuple[str, ...]:
        return row["attack"], row["game"], str(row.get("class") or ""), row["id"]

    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for row in rows for name in named(row)):
            raise UnknownName("attack", pattern, {name for row in rows for name in named(row)})
    if not patterns:
        return list(rows)
    return [
        row
        for row in rows
        if any(fnmatchcase(name, pattern) for pattern in patterns for name in named(row))
    ]


def _measured(residual: Row | None, by_id: Mapping[str, Row]) -> bool:
    return any(_cell_row(residual, knowledge, by_id) is not None for knowledge in KNOWLEDGES)


def _cell_row(residual: Row | None, knowledge: str, by_id: Mapping[str, Row]) -> Row | None:
    """The row of a cell that was measured and is not flagged, else None."""
    if residual is None or residual.get(knowledge) is None:
        return None
    row = by_id.get((residual.get("rows") or {}).get(knowledge, ""))
    if row is None:  # a document from elsewhere: its interval stands alone
        return {"bits": residual[knowledge], "n": residual[knowledge].get("n"), "flags": []}
    return None if row.get("flags") else row


def _why_empty(defense: Row, ids: set[str]) -> str:
    reasons = [
        residual["reason"]
        for key, residual in defense["residual"].items()
        if key in ids and residual.get("reason")
    ]
    if reasons:
        return str(reasons[0])
    return "it claims none of these attacks" if not ids & set(defense["residual"]) else "flagged"


def _cells(
    rows: Sequence[Row], declared: Sequence[Row], by_id: Mapping[str, Row]
) -> tuple[
    Leaks,
    Leaks,
    tuple[Row, ...],
    dict[tuple[int, int, str], Row],
    tuple[Row, ...],
    NDArray[np.bool_],
    dict[tuple[int, int], str],
]:
    shape = len(rows), len(declared)
    after = {knowledge: np.full((*shape, 3), np.nan) for knowledge in KNOWLEDGES}
    unclaimed = np.zeros(shape, dtype=bool)
    behind: dict[tuple[int, int, str], Row] = {}
    reasons: dict[tuple[int, int], str] = {}
    for i, j in np.ndindex(*shape):
        residual = declared[j]["residual"].get(rows[i]["id"])
        if residual is None:
            unclaimed[i, j] = True
            continue
        if residual.get("reason"):
            reasons[i, j] = residual["reason"]
        for knowledge in KNOWLEDGES:
            row = _cell_row(residual, knowledge, by_id)
            if row is not None:
                after[knowledge][i, j] = _shares(row, rows[i])
                behind[i, j, knowledge] = row
            elif residual.get(knowledge) is not None:
                reasons[i, j] = f"{knowledge}: flagged, so that it settles nothing"
    whole = Leaks(
        attacks=tuple(row["attack"] for row in rows),
        classes=tuple(str(row.get("class") or row["game"]) for row in rows),
        attack_terms=tuple(str(row.get("term") or "") for row in rows),
        defenses=tuple(row["name"] for row in declared),
        terms=tuple(row["term"] for row in declared),
        before=np.array([_shares(row, row) for row in rows]).reshape(len(rows), 3),
        static=after[KNOWLEDGES[0]],
        adaptive=after[KNOWLEDGES[1]],
        unclaimed=unclaimed,
    )
    claimed = np.array(
        [[row["game"] in d.get("protects", [row["game"]]) for d in declared] for row in rows]
    ).reshape(shape)
    beside = ~claimed & ~unclaimed
    # A defense has credit for what it claims alone: a filter of records that drops the odd records
    # which a game plants says nothing of real ones.
    leaks = replace(
        whole,
        static=np.where(beside[:, :, None], np.nan, whole.static),
        adaptive=np.where(beside[:, :, None], np.nan, whole.adaptive),
        unclaimed=unclaimed | beside,
    )
    return leaks, whole, tuple(rows), behind, tuple(declared), beside, reasons


def _shares(row: Row, baseline: Row) -> list[float]:
    """Point, lower and upper end of a row as shares of the baseline row's secret."""
    entropy = math.log2(max(2, baseline.get("alphabet") or 2))
    bits = row["bits"]
    ceiling = entropy if baseline.get("ceiling") is None else float(baseline["ceiling"])
    # Without an upper end the leak may be all that the ceiling allows.
    high = ceiling if bits.get("high") is None else float(bits["high"])
    point, low = float(bits["point"]), float(bits.get("low") or 0.0)
    return [max(0.0, value) / entropy for value in (point, low, max(high, point))]


def _utilities(
    declared: Sequence[Row],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    metrics = dict.fromkeys(name for row in declared for name in row.get("utility") or {})
    after, before = {}, {}
    for metric in metrics:
        pairs = [(row.get("utility") or {}).get(metric) or {} for row in declared]
        after[metric] = np.array([_ends(pair.get("after")) for pair in pairs])
        known = [pair["before"] for pair in pairs if pair.get("before") is not None]
        before[metric] = np.array(_ends(known[0] if known else None))
    return after, before


def _ends(figure: Any) -> list[float]:
    """Value, lower and upper end of a figure or of a plain number; NaN where there is none."""
    if not isinstance(figure, Mapping):
        figure = {"value": figure}
    values = [figure.get(name) for name in ("value", "low", "high")]
    return [math.nan if value is None else float(value) for value in values]
