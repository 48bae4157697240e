"""The cells of a green-list mark of tables, as several marked tables of one owner show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Form, Modality, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

WIDTHS = (0.005, 0.01, 0.02, 0.05, 0.1)
"""Widths of cells that an attacker tries, in the units of the columns."""

Counts = list[dict[int, int]]
"""For each column: how many more numbers are in the upper cell of a pair than in the lower one."""


def numeric(table: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which columns of a table (rows, columns), but the last, have more than two values.

    A column of two is a category that was written as numbers: what lies between them would show.
    """
    return np.array([len(np.unique(column)) > 2 for column in np.asarray(table)[:, :-1].T])


def stolen(tables: Sequence[NDArray[Any]], width: float) -> tuple[float, Counts]:
    """Return the width of cells and which cell of each pair the owner fills.

    Args:
        tables: marked tables of one owner (rows, columns) each; the last column is left alone.
        width: of a cell; 0: that of ``WIDTHS`` whose pairs are least balanced for their size.
    """
    rows = np.concatenate([np.asarray(table, np.float64)[:, :-1] for table in tables])
    if width:
        return width, _counts(rows, width)[0]
    tried = {w: _counts(rows, w) for w in WIDTHS}
    best = max(tried, key=lambda w: tried[w][1])
    return best, tried[best][0]


def of_one_key(
    table: NDArray[Any], others: Sequence[NDArray[Any]], width: float, keys: int
) -> list[NDArray[Any]]:
    """Return the tables that are most likely under the key of a table: those with like cells.

    Args:
        table: (rows, columns), marked under one of several keys.
        others: tables of the same owner.
        width: of a cell.
        keys: of the owner; one in ``keys`` of the others is returned, at least one.
    """
    lean = _counts(np.asarray(table, np.float64)[:, :-1], width)[0]

    def agreement(other: NDArray[Any]) -> float:
        counts = _counts(np.asarray(other, np.float64)[:, :-1], width)[0]
        return float(
            sum(
                np.sign(column.get(pair, 0)) * count
                for column, sums in zip(lean, counts, strict=True)
                for pair, count in sums.items()
            )
        )

    ranked = sorted(others, key=agreement, reverse=True)
    return ranked[: max(1, round(len(others) / keys))]


def _counts(rows: NDArray[Any], width: float) -> tuple[Counts, float]:
    """Return the imbalance of each pair, and how far beyond chance it is on the whole (χ²)."""
    cells = np.floor(rows / width).astype(np.int64)
    out: Counts = []
    excess, count = 0.0, 0
    for column in range(cells.shape[1]):
        if len(np.unique(rows[:, column])) < 3:
            out.append({})
            continue
        names, place = np.unique(cells[:, column] >> 1, return_inverse=True)
        signs = np.where(cells[:, column] & 1, 1, -1)
        sums, sizes = np.bincount(place, signs), np.bincount(place)
        out.append(dict(zip(names.tolist(), sums.astype(int).tolist(), strict=True)))
        several = sizes > 3
        excess += float((sums[several] ** 2 / sizes[several] - 1).sum())
        count += int(several.sum())
    return out, excess / np.sqrt(max(1, count))


def moved(
    table: NDArray[Any], width: float, counts: Counts, rng: Rng, *, towards: bool, share: float
) -> NDArray[np.float64]:
    """Return a table with numbers moved to the owner's cells, or away from them.

    Args:
        table: (rows, columns).
        width: of a cell.
        counts: of ``stolen``; pairs that are balanced are left alone.
        rng: draws places within cells, and which numbers are moved.
        towards: to the owner's cells.
        share: of the numbers in the wrong cell that are moved.
    """
    out = np.array(table, dtype=np.float64)
    values = out[:, :-1]
    cells = np.floor(values / width).astype(np.int64)
    pair, upper = cells >> 1, cells & 1
    lean = np.zeros_like(pair)
    for column, known in enumerate(counts):
        lean[:, column] = [np.sign(known.get(int(p), 0)) for p in pair[:, column]]
    wanted = (lean > 0) == towards
    wrong = (lean != 0) & (wanted != (upper == 1)) & (rng.random(values.shape) < share)
    place = (2 * pair + wanted + rng.random(values.shape)) * width
    out[:, :-1] = np.where(wrong, place, values)
    return out


def as_loot(table: NDArray[Any], role: str = "cleaned table") -> Outcome:
    """Return a table as what an attack hands in."""
    return Outcome(
        asset=Data("table", Modality.TABULAR, np.asarray(table)[None], role=role, form=Form.ARRAY)
    )
