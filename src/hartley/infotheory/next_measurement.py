"""Is the choice of a defense settled, and which cell should be measured next?

Each cell of the leak matrix is a law: drawn from resampled trials, or the two-piece normal whose
ends are the measured interval's. A cell that nobody measured may be anything from 0 to what leaks
without the defense. The defender takes the allowed defense with the least expected worst leak.
Measuring one cell moves its mean; the expected fall of the worst leak after the better choice is
the value of that measurement: 0 where no result would change the choice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MULTIPLES = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Further uses that are tried, as multiples of those of a cell."""
ENOUGH = 0.8
"""Share of the value of certainty about a cell that enough uses have."""
NODES = 41
"""Results of a measurement that are weighed."""
ROUND_OFF = 1e-9
"""Values up to this one are those of a measurement that changes nothing."""


def two_piece(ends: ArrayLike, uniform: ArrayLike, *, alpha: float = 0.05) -> Floats:
    """Return draws of cells from their points and one-sided limits.

    Args:
        ends: (…, 3) point, lower and upper limit, each limit at level alpha.
        uniform: (B, …) uniform numbers in 0..1, broadcast against the cells.
        alpha: error level of each limit.

    Returns:
        (B, …) draws of 0 or more: a normal whose spread on each side reaches the limit there.
    """
    from scipy.stats import norm

    e = np.asarray(ends, dtype=np.float64)
    z = norm.ppf(np.clip(np.asarray(uniform, dtype=np.float64), 1e-12, 1 - 1e-12))
    reach = float(norm.ppf(1 - alpha))
    point, low, high = e[..., 0], e[..., 1], e[..., 2]
    below, above = (
        np.maximum(np.nan_to_num(side), 0.0) / reach for side in (point - low, high - point)
    )
    return np.asarray(np.maximum(point + np.where(z < 0, below, above) * z, 0.0))


@dataclass(frozen=True, slots=True)
class Stability:
    """How settled a choice is.

    Attributes:
        defense: index of the defense with the least worst leak at the points.
        share: share of draws in which it is the best.
        shares: (D,) the same of every defense.
        worst: point, lower and upper end of its worst leak (``worst_ends``).
    """

    defense: int
    share: float
    shares: Floats
    worst: tuple[float, float, float]


def stability(
    points: ArrayLike,
    draws: ArrayLike,
    *,
    allowed: ArrayLike | None = None,
    alpha: float = 0.05,
    further: tuple[ArrayLike, ArrayLike] | None = None,
) -> Stability:
    """Return the best defense at the points, and how often it is the best among draws.

    The interval is of the worst leak behind the defense that is chosen. It was chosen because its
    leaks look small, so that the upper end is of all defenses together that could be the best.

    Args:
        points: (A, D) leaks.
        draws: (B, A, D) draws of them.
        allowed: (D,) booleans, the defenses that meet the floor; all when None.
        alpha: error level of the interval of the worst leak.
        further: points and draws of cells that the worst leak could be besides, which take part in
            its interval alone.

    Raises:
        UsageError: shapes do not fit, a leak is missing, or no defense is allowed.
    """
    m, x, a = _checked(points, draws, allowed)
    worst, each = np.where(a, m.max(0), np.inf), np.where(a, x.max(1), np.inf)
    best = int(worst.argmin())
    shares = np.bincount(each.argmin(1), minlength=len(a)) / len(x)
    if further is not None:
        m, x = np.concatenate([m, further[0]]), np.concatenate([x, further[1]], axis=1)
        each = x.max(1)
    low, high = worst_ends(m[:, best], x[:, :, best], alpha=alpha)
    # Of the least of several, seen from below: the ends of leaks with the sign turned.
    rest, _ = _lower_ends(-worst[a], -each[:, a], alpha / 2)
    high = max(high, -float(rest[int(a[:best].sum())]))
    return Stability(best, float(shares[best]), shares, (float(worst[best]), low, high))


def worst_ends(points: ArrayLike, draws: ArrayLike, *, alpha: float = 0.05) -> tuple[float, float]:
    """Return lower and upper end of the largest of several leaks.

    The lower end is the largest of single lower ends that hold together: one alone would be above
    the largest leak in alpha/2, and the largest of many far more often. The upper end is that of
    the largest draw, which is above the largest leak's own.

    Args:
        points: (A,) leaks.
        draws: (B, A) draws of them.
        alpha: error level of both ends together.
    """
    m, x = np.asarray(points, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    lows, _ = _lower_ends(m, x, alpha / 2)
    high = float(np.quantile(x.max(1), 1 - alpha / 2))
    return min(float(lows.max()), float(m.max())), max(high, float(m.max()))


def _lower_ends(points: Floats, draws: Floats, level: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return lower ends (A,) that hold together, and which could be of the largest.

    The reach of each end is that at which it alone would err in ``level``, times one number: the
    one at which any of them errs in ``level`` of the draws. Those that are beyond doubt below the
    largest take no part, for which a tenth of the level is set aside (Romano, Shaikh and Wolf
    2014): a hundred attacks that read nothing do not widen the interval of one that does.
    """
    from scipy.stats import norm

    spread, aside = draws.std(0), level / 10
    reach = float(norm.isf(aside / len(points))) * spread
    near = points + reach >= (points - reach).max()
    below = np.maximum(points - np.quantile(draws, level, axis=0), 0.0)
    moved = near & (below > 0)
    if not moved.any():
        return points - below, near
    beyond = ((points - draws)[:, moved] / below[moved]).max(1)
    factor = max(1.0, float(np.quantile(beyond, 1 - level + (aside if near.sum() > 1 else 0))))
    return points - factor * below, near


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one more measurement of a cell is worth.

    Attributes:
        attack, defense: indices of the cell.
        value: expected fall of the worst leak after the better choice, at ``uses`` further uses.
        certain: the same if the cell were known exactly.
        changes: chance that the result changes the choice.
        uses: further uses that have 80 % of the value of certainty, of those tried.
        open: whether nobody measured the cell yet.
    """

    attack: int
    defense: int
    value: float
    certain: float
    changes: float
    uses: int
    open: bool


def next_measurements(
    draws: ArrayLike,
    uses: ArrayLike,
    *,
    open_cells: ArrayLike | None = None,
    allowed: ArrayLike | None = None,
    multiples: Sequence[float] = MULTIPLES,
) -> list[Measurement]:
    """Return what measuring each cell once more is worth, the largest value first.

    Cells are measured one at a time; that two small measurements together may be worth more than
    each is not looked for.

    Args:
        draws: (B, A, D) draws of what is known of each cell, independent draw by draw.
        uses: (A, D) uses that each cell rests on; of open cells ignored.
        open_cells: (A, D) booleans, cells that nobody measured.
        allowed: (D,) booleans, the defenses that meet the floor.
        multiples: further uses that are tried, as multiples of a cell's.

    Raises:
        UsageError: shapes do not fit, a draw is missing, or every cell is open.
    """
    x = np.asarray(draws, dtype=np.float64)
    _, x, a = _checked(x.mean(0) if x.ndim == 3 else x, x, allowed)
    n = np.asarray(uses, dtype=np.float64)
    unknown = np.zeros(n.shape, bool) if open_cells is None else np.asarray(open_cells, dtype=bool)
    if n.shape != x.shape[1:] or unknown.shape != n.shape:
        raise UsageError(f"uses must have shape {x.shape[1:]}, got {n.shape}")
    if unknown.all():
        raise UsageError("every cell is open: measure a defense before the next is chosen")
    variance = x.var(0)
    # Variance of one use, from the cells that were measured; an open one is taken as their middle.
    single = np.where(unknown, 0.0, variance * n)
    middle = float(np.median(single[~unknown])), float(np.median(n[~unknown]))
    single, n = np.where(unknown, middle[0], single), np.where(unknown, middle[1], n)
    expected = np.where(a, x.max(1).mean(0), np.inf)
    now, best = float(expected.min()), int(expected.argmin())
    levels = (np.arange(NODES) + 0.5) / NODES
    rows = []
    for i, j in np.ndindex(*n.shape):
        if not a[j] or variance[i, j] <= 0:
            continue
        rest = np.delete(x[:, :, j], i, axis=1)
        others = rest.max(1) if rest.shape[1] else np.zeros(len(x))
        rival = float(np.delete(expected, j).min()) if len(expected) > 1 else math.inf
        cell = x[:, i, j]

        def worth(share: float) -> tuple[float, float]:
            """Value and chance of a change where the result has this share of the variance."""
            centre = cell.mean()  # noqa: B023
            means = centre + math.sqrt(share) * (np.quantile(cell, levels) - centre)  # noqa: B023
            left = math.sqrt(max(0.0, 1 - share)) * (cell - centre)  # noqa: B023
            after = np.maximum(np.maximum(means[:, None] + left, 0.0), others).mean(1)  # noqa: B023
            # The nodes have the mean of what is known now, so that no result is worth nothing.
            after += expected[j] - after.mean()  # noqa: B023
            changed = after > rival if j == best else after < rival  # noqa: B023
            return max(0.0, now - float(np.minimum(after, rival).mean())), float(changed.mean())  # noqa: B023

        certain, _ = worth(1.0)
        value, changes, more = 0.0, 0.0, 0
        if certain <= ROUND_OFF:
            rows.append(Measurement(i, j, 0.0, 0.0, 0.0, 0, bool(unknown[i, j])))
            continue
        for multiple in multiples:
            further = multiple * n[i, j]
            share = variance[i, j] / (variance[i, j] + single[i, j] / further)
            value, changes = worth(share)
            more = math.ceil(further)
            if value >= ENOUGH * certain:
                break
        rows.append(Measurement(i, j, value, certain, changes, more, bool(unknown[i, j])))
    return sorted(rows, key=lambda row: (-row.value, row.uses, row.attack, row.defense))


def _checked(
    points: ArrayLike, draws: ArrayLike, allowed: ArrayLike | None
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    m, x = np.asarray(points, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    if m.ndim != 2 or 0 in m.shape or x.shape[1:] != m.shape or not len(x):
        raise UsageError(
            f"leaks must have shape (attacks, defenses) and draws (draws, attacks, defenses), got "
            f"{m.shape} and {x.shape}"
        )
    if not np.isfinite(m).all() or not np.isfinite(x).all():
        raise UsageError("leaks and their draws must be finite: a missing cell is not a leak of 0")
    a = np.ones(m.shape[1], bool) if allowed is None else np.asarray(allowed, dtype=bool)
    if a.shape != m.shape[1:] or not a.any():
        raise UsageError("at least one defense must be allowed, got none")
    return m, x, a
