"""E1: two binomials → certified bits, capacity, advantage, ε and μ.

The attacker flags some uses. ``tp`` of the ``positives`` (secret 1) and ``fp`` of the ``negatives``
(secret 0) were flagged, so that the channel is (a, b) = (true-positive rate, false-positive rate).
Every functional here grows with a and falls with b, hence its minimum over a confidence region lies
on the region's lower-right border, which is one curve. The proofs are in ``design/measurement.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds.region_minimum import Border
from hartley.infotheory.binary_channel import (
    FUNCTIONALS,
    bits,
    clopper_pearson,
    functional,
    rate_high,
    rate_low,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]


@lru_cache(maxsize=256)
def fisher_level(alpha: float) -> float:
    """Return z with z·(1 − ln z) = alpha: the product of two uniform p-values is ≤ z that often.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be between 0 and 1, got {alpha!r}")
    from scipy.special import lambertw

    z = math.exp(1.0 + float(lambertw(-alpha / math.e, -1).real))
    for _ in range(2):  # lambertw stops near 1e-9; Newton brings the last digits
        z += (alpha - z * (1.0 - math.log(z))) / -math.log(z)
    return z


def lower(
    tp: ArrayLike,
    positives: ArrayLike,
    fp: ArrayLike,
    negatives: ArrayLike,
    alpha: float = 0.05,
    *,
    delta: float = 1e-5,
    of: Sequence[str] = FUNCTIONALS,
) -> dict[str, Any]:
    """Bound functionals from below, jointly, by the exact Fisher-product region (E1).

    The region {(a, b): P(Bin(n₁, a) ≥ tp) · P(Bin(n₀, b) ≤ fp) > z} holds the truth with
    probability at least 1 − alpha; each functional is minimised over its border. All bounds of one
    call hold together, since they rest on the same region. They cover the direction a > b only:
    they are 0 where the flags point the other way.

    Args:
        tp: flagged uses whose secret is 1; any shape.
        positives: uses whose secret is 1.
        fp: flagged uses whose secret is 0 (or j − 1 for the j-th largest negative as threshold).
        negatives: uses whose secret is 0.
        alpha: error level of the region.
        delta: δ of the ε bound.
        of: names out of ``FUNCTIONALS``.

    Returns:
        Each name with an array of the common shape (a float for scalar counts).
    """
    counts = [np.asarray(v, np.float64) for v in (tp, positives, fp, negatives)]
    shape = np.broadcast_shapes(*(v.shape for v in counts))
    z = fisher_level(alpha)
    rows = _rows(counts, shape)
    bounds = {name: np.zeros(len(rows)) for name in of}
    for i, row in enumerate(rows):
        if _says_something(*row):
            border = Border(row, z)
            for name in of:
                bounds[name][i] = max(border.least(name, delta), 0.0)
    return {
        name: float(value[0]) if shape == () else value.reshape(shape)
        for name, value in bounds.items()
    }


def highest(
    tp: ArrayLike,
    positives: ArrayLike,
    fp: ArrayLike,
    negatives: ArrayLike,
    alphas: ArrayLike,
    *,
    delta: float = 1e-5,
    of: Sequence[str] = FUNCTIONALS,
) -> dict[str, float]:
    """Return the greatest of the rows' ``lower`` bounds, each row at its own error level.

    The value at any border point of a row is at least that row's bound. A row is given up without
    its minimum when its points so far are worth no more than another row's bound.

    Args:
        tp, positives, fp, negatives: as of ``lower``; any common shape.
        alphas: error level of each row.
        delta: δ of the ε bound.
        of: names out of ``FUNCTIONALS``.
    """
    counts = [np.asarray(v, np.float64) for v in (tp, positives, fp, negatives, alphas)]
    rows = _rows(counts, np.broadcast_shapes(*(v.shape for v in counts)))
    borders = [Border(r[:4], fisher_level(r[4])) for r in rows if _says_something(*r[:4])]
    best = dict.fromkeys(of, 0.0)
    for name in of:
        worth = [border.first(name, delta) for border in borders]
        for i in sorted(range(len(borders)), key=worth.__getitem__, reverse=True):
            if worth[i] <= best[name]:
                break
            best[name] = max(best[name], borders[i].least(name, delta, best[name]))
    return best


def _rows(counts: Sequence[Array], shape: tuple[int, ...]) -> list[tuple[float, ...]]:
    if shape == ():
        return [tuple(float(v) for v in counts)]
    columns = [np.broadcast_to(v, shape).ravel().tolist() for v in counts]
    return list(zip(*columns, strict=True))


def _says_something(tp: float, n1: float, fp: float, n0: float) -> bool:
    return n1 > 0 and n0 > 0 and tp > 0 and fp < n0


def box_lower(
    tp: int,
    positives: int,
    fp: int,
    negatives: int,
    alpha: float = 0.05,
    *,
    delta: float = 1e-5,
    of: Sequence[str] = FUNCTIONALS,
) -> dict[str, float]:
    """Bound the same functionals by two Clopper–Pearson limits at alpha / 2 (looser than E1)."""
    a = rate_low(tp, positives, alpha / 2)
    b = rate_high(fp, negatives, alpha / 2)
    return {name: max(0.0, float(functional(name, delta)(a, b))) if a > b else 0.0 for name in of}


def box_upper(tp: int, positives: int, fp: int, negatives: int, alpha: float = 0.05) -> float:
    """Return a certified *upper* bound on the bits of this fixed 2×2 channel.

    This is valid because the channel is finite and fully enumerated: one flag, two secrets. The
        bits
    are convex in the channel, so their maximum over the two-sided Clopper–Pearson box (alpha / 4 a
    side, both rates together alpha) sits at one of its four corners.
    """
    if positives <= 0 or negatives <= 0:
        return 1.0
    a = clopper_pearson(tp, positives, alpha / 4)
    b = clopper_pearson(fp, negatives, alpha / 4)
    return float(max(bits(x, y) for x in a for y in b))
