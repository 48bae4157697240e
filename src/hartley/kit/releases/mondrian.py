"""k-anonymity by multidimensional cuts (Mondrian, LeFevre et al. 2006, doi:10.1109/ICDE.2006.101).

A group is cut at the median of the column whose values spread furthest, as long as both parts hold
k rows. Groups are published by their mean and their most frequent value (microaggregation,
doi:10.1007/s10618-005-0007-5): every combination of quasi-identifiers then occurs k times.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def groups_of(
    table: Floats, is_number: NDArray[np.bool_], quasi: Sequence[int], k: int
) -> NDArray[np.int64]:
    """Return the group (n,) of each row, numbered from 0; each has at least k rows.

    Args:
        table: (n, d), n ≥ k.
        is_number: (d,) which columns are numbers.
        quasi: columns that are cut.
        k: rows of a group at least.
    """
    codes = np.stack([_ordered(table[:, j], bool(is_number[j])) for j in quasi], 1)
    spread = np.maximum(codes.max(0) - codes.min(0), 1e-12)
    out = np.zeros(len(table), dtype=np.int64)
    pending, number = [np.arange(len(table))], 0
    while pending:
        rows = pending.pop()
        part = codes[rows]
        widths = (part.max(0) - part.min(0)) / spread
        for column in np.argsort(-widths, kind="stable"):
            if widths[column] <= 0 or len(rows) < 2 * k:
                continue
            cut = _cut(part[:, column], k)
            if cut is not None:
                left = part[:, column] <= cut
                pending += [rows[~left], rows[left]]
                break
        else:
            out[rows], number = number, number + 1
    return out


def aggregated(
    table: Floats, is_number: NDArray[np.bool_], quasi: Sequence[int], groups: NDArray[np.int64]
) -> Floats:
    """Return a table whose quasi-identifiers are the mean or the mode of the row's group."""
    out = table.copy()
    sizes = np.bincount(groups)
    for j in quasi:
        if is_number[j]:
            out[:, j] = (np.bincount(groups, table[:, j]) / sizes)[groups]
            continue
        values, place = np.unique(table[:, j], return_inverse=True)
        times = np.zeros((len(sizes), len(values)), dtype=np.int64)
        np.add.at(times, (groups, place.reshape(-1)), 1)
        out[:, j] = values[times.argmax(1)][groups]
    return out


def _ordered(values: Floats, is_number: bool) -> Floats:
    """Return the numbers that a column is cut along: categories in the order of their codes."""
    if is_number:
        return values
    return np.unique(values, return_inverse=True)[1].reshape(-1).astype(np.float64)


def _cut(values: Floats, k: int) -> float | None:
    """Return the value up to which the left part goes, nearest to the median; None: no cut."""
    ordered = np.sort(values)
    n = len(ordered)
    # Places after which the value changes and both parts have k rows.
    places = np.flatnonzero(np.diff(ordered) > 0) + 1
    places = places[(places >= k) & (places <= n - k)]
    if not len(places):
        return None
    return float(ordered[places[np.abs(places - n / 2).argmin()] - 1])
