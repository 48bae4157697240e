"""Predicates over the columns of a table that match exactly one row of it: singling out.

A predicate is a box: for each column a least and a largest value, −∞ and +∞ where it does not ask.
Every predicate of anonymeter's attack (arXiv:2211.10459) is one: "column ≥ v", "≤ v" and "= v",
joined by "and". Predicate singling out is defined in arXiv:1904.06009.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Floats = NDArray[np.float64]
    Choose = Callable[[Rng, int, int, int], NDArray[np.int64]]

BATCH = 1000
"""Predicates that are drawn at a time, as in anonymeter 1.1.0."""
BLOCK = 1 << 24
"""Cells of predicates times rows that are held at a time."""


def everything(count: int, width: int) -> Floats:
    """Return predicates (count, width, 2) that match every row."""
    out = np.empty((count, width, 2))
    out[..., 0], out[..., 1] = -np.inf, np.inf
    return out


def matches(predicates: Floats, rows: Floats) -> NDArray[np.bool_]:
    """Return which predicate (q, d, 2) matches which row (n, d): (q, n)."""
    out = np.ones((len(predicates), len(rows)), dtype=bool)
    for j in range(rows.shape[1]):
        low, high = predicates[:, j, 0], predicates[:, j, 1]
        asks = np.flatnonzero((low > -np.inf) | (high < np.inf))
        if len(asks):
            value = rows[None, :, j]
            out[asks] &= (value >= low[asks, None]) & (value <= high[asks, None])
    return out


def counts(predicates: Floats, rows: Floats) -> NDArray[np.int64]:
    """Return how many rows (n, d) each predicate (q, d, 2) matches: (q,)."""
    step = max(1, BLOCK // max(1, len(rows)))
    parts = [
        matches(predicates[at : at + step], rows).sum(1) for at in range(0, len(predicates), step)
    ]
    return np.concatenate(parts).astype(np.int64) if parts else np.zeros(0, dtype=np.int64)


def univariate(rows: Floats, is_number: NDArray[np.bool_]) -> Floats:
    """Return predicates on one column each that match exactly one row of a table.

    These are values that occur once, and of numbers the ends "≤ min" and "≥ max".

    Args:
        rows: (n, d).
        is_number: (d,) which columns are numbers.

    Returns:
        (q, d, 2), each once.
    """
    out = []
    for j in range(rows.shape[1]):
        values, times = np.unique(rows[:, j], return_counts=True)
        once = values[times == 1]
        equal = everything(len(once), rows.shape[1])
        equal[:, j, 0] = equal[:, j, 1] = once
        out.append(equal)
        if is_number[j] and len(values):
            ends = everything(2, rows.shape[1])
            ends[0, j, 1], ends[1, j, 0] = values[0], values[-1]
            out.append(ends[[times[0] == 1, times[-1] == 1]])
    return np.concatenate(out) if out else everything(0, rows.shape[1])


def multivariate(
    rows: Floats,
    is_number: NDArray[np.bool_],
    rng: Rng,
    *,
    count: int,
    columns: int,
    attempts: int,
    choose: Choose | None = None,
) -> Floats:
    """Return predicates on several columns that match exactly one row of a table.

    Each is made of one row: of a number "≥ its value" where that is above the column's median and
    "≤ its value" where it is not, of a category "= its value".

    Args:
        rows: (n, d), each once.
        is_number: (d,) which columns are numbers.
        rng: draws rows and columns.
        count: predicates at most.
        columns: how many columns each asks about.
        attempts: predicates that are tried at most.
        choose: draws the columns; ``chosen_one_by_one`` makes the draws of anonymeter 1.1.0, so
            that the same generator gives the same predicates.

    Returns:
        (q, d, 2), each once, q ≤ count.
    """
    medians = np.median(rows, axis=0)
    width = rows.shape[1]
    batch, tried = min(BATCH, attempts), 0
    keys: set[bytes] = set()
    singled: list[Floats] = []
    while len(singled) < count and tried < attempts:
        records = rows[rng.integers(low=0, high=len(rows), size=batch)]
        chosen = (choose or chosen_at_once)(rng, width, columns, batch)
        chosen_mask = np.zeros((batch, width), dtype=bool)
        np.put_along_axis(chosen_mask, chosen, True, axis=1)
        above = records > medians
        low = np.where(chosen_mask & (above | ~is_number), records, -np.inf)
        high = np.where(chosen_mask & (~above | ~is_number), records, np.inf)
        predicates = np.stack([low, high], 2)
        for k in np.flatnonzero(counts(predicates, rows) == 1):
            key = predicates[k].tobytes()
            if key not in keys:
                keys.add(key)
                singled.append(predicates[k])
                if len(singled) == count:
                    break
        tried += batch
    return np.stack(singled) if singled else everything(0, width)


def chosen_at_once(rng: Rng, width: int, columns: int, count: int) -> NDArray[np.int64]:
    """Return different places in 0..width−1 for each of ``count`` predicates: (count, columns)."""
    return np.argsort(rng.random((count, width)), axis=1)[:, :columns]


def chosen_one_by_one(rng: Rng, width: int, columns: int, count: int) -> NDArray[np.int64]:
    """Return the same as ``chosen_at_once`` by other draws: one ``rng.choice`` after another."""
    return np.stack([rng.choice(width, size=columns, replace=False) for _ in range(count)])


def whole_rows(rows: Floats, slack: Floats) -> Floats:
    """Return the predicates (n, d, 2) around each row of a table: ± ``slack`` (d,) a column."""
    return np.stack([rows - slack, rows + slack], 2)


def isolated(predicates: Floats, rows: Floats) -> NDArray[np.int64]:
    """Return how many predicates (q, d, 2) match each row (n, d) and no other of them: (n,)."""
    return np.bincount(isolating(predicates, rows)[1], minlength=len(rows))


def isolating(
    predicates: Floats,
    rows: Floats,
    others: Floats | None = None,
    relatives: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which predicates match one row and no other, and which row: (k,) places each.

    Args:
        predicates: (q, d, 2).
        rows: (n, d), among which the one row is.
        others: (m, d) further rows that must not be matched; None: none.
        relatives: (m,) of each of these the place of a row with which it may be matched, or −1;
            None: none may.
    """
    which, whose = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    step = max(1, BLOCK // max(1, len(rows)))
    for at in range(0, len(predicates), step):
        hit: NDArray[Any] = matches(predicates[at : at + step], rows)
        once = np.flatnonzero(hit.sum(1) == 1)
        which.append(at + once)
        whose.append(hit[once].argmax(1))
    places, owners = np.concatenate(which), np.concatenate(whose)
    rest = rows[:0] if others is None else others
    # A predicate that a block of the others matches is not tried on the next ones.
    step = max(1, BLOCK // max(1, len(places)))
    for at in range(0, len(rest), step):
        hit = matches(predicates[places], rest[at : at + step])
        if relatives is not None:
            hit &= relatives[None, at : at + step] != owners[:, None]
        alone = ~hit.any(1)
        places, owners = places[alone], owners[alone]
    return places, owners
