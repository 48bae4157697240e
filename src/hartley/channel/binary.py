"""E1: two binomials → certified bits, capacity, advantage, ε and μ (MEASURE §3.2).

The attacker flags some uses. ``tp`` of the ``positives`` (secret 1) and ``fp`` of the ``negatives``
(secret 0) were flagged, so that the channel is (a, b) = (true-positive rate, false-positive rate).
Every functional here grows with a and falls with b, hence its minimum over a confidence region lies
on the region's lower-right border, which is one curve. The proofs are in ``design/measurement.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.rates import (
    FUNCTIONALS,
    bits,
    capacity,
    clopper_pearson,
    epsilon,
    functional,
    min_capacity,
    mu,
    rate_high,
    rate_low,
    ratio,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

__all__ = [
    "FUNCTIONALS",
    "bits",
    "box_lower",
    "box_upper",
    "capacity",
    "clopper_pearson",
    "epsilon",
    "fisher_level",
    "functional",
    "lower",
    "min_capacity",
    "mu",
    "rate_high",
    "rate_low",
]


@lru_cache(maxsize=256)
def fisher_level(alpha: float) -> float:
    """Return z with z·(1 − ln z) = alpha: the product of two uniform p-values is ≤ z that often.

    Raises:
        ValueError: alpha is not between 0 and 1.
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha lies between 0 and 1, not {alpha!r}")
    from scipy.special import lambertw

    z = math.exp(1.0 + float(lambertw(-alpha / math.e, -1).real))
    for _ in range(2):  # lambertw stops near 1e-9; Newton brings the last digits
        z += (alpha - z * (1.0 - math.log(z))) / -math.log(z)
    return z


GRID = (1.0 - np.cos(np.linspace(0.0, np.pi, 29))) / 2
"""Denser at both ends, where one of the two rates has an infinite slope."""
FINE = (1.0 - np.cos(np.linspace(0.0, np.pi, 81))) / 2


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
    call hold together, since they rest on the same region. They speak of the direction a > b only:
    0 where the flags point the other way.

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
    counts = (np.asarray(v, np.float64) for v in (tp, positives, fp, negatives))
    t, n1, f, n0 = np.broadcast_arrays(*counts)
    shape = t.shape
    t, n1, f, n0 = (v.reshape(-1, 1) for v in (t, n1, f, n0))
    border = _border(t, np.maximum(n1, 1.0), f, np.maximum(n0, 1.0), fisher_level(alpha))
    parts = [lambda a, b: ratio(a, b, delta), lambda a, b: ratio(1.0 - b, 1.0 - a, delta)]
    found = [
        _least(border, functional(name, delta), parts=parts if name == "epsilon" else ())
        for name in of
    ]
    void = ((n1 <= 0) | (n0 <= 0) | (t <= 0) | (f >= n0))[:, 0]
    return {
        name: _shaped(np.where(void, 0.0, np.maximum(value, 0.0)), shape)
        for name, value in zip(of, found, strict=True)
    }


def _border(
    t: Array, n1: Array, f: Array, n0: Array, z: float
) -> Callable[[Array], tuple[Array, Array]]:
    from scipy.special import betainccinv, betaincinv

    tt, ff = np.maximum(t, 1.0), np.minimum(f, n0 - 1.0)
    low, high, logz = n1 - tt + 1.0, n0 - ff, math.log(z)

    def at(u: Array) -> tuple[Array, Array]:
        side = np.exp(logz * u)
        return betaincinv(tt, low, side), betainccinv(ff + 1.0, high, np.minimum(z / side, 1.0))

    kept = at(GRID)  # every functional starts on the same grid
    return lambda u: kept if u is GRID else at(u)


def _least(
    border: Callable[[Array], tuple[Array, Array]],
    f: Callable[[Array, Array], Array],
    *,
    parts: Sequence[Callable[[Array, Array], Array]] = (),
) -> Array:
    """Minimise along the border: a grid, then three parabolic steps.

    ε is the larger of two smooth functions, so that its minimum may be a kink, which no parabola
    meets: with ``parts`` the points where they cross are tried besides.
    """
    grid = FINE if parts else GRID
    a, b = border(grid)
    y = _forward(f, a, b)
    best = y.min(1)
    k = np.minimum(np.maximum(y.argmin(1), 1), grid.size - 2)
    rows = np.arange(len(y))
    x = np.stack([grid[k - 1], grid[k], grid[k + 1]], 1)
    y = np.stack([y[rows, k - 1], y[rows, k], y[rows, k + 1]], 1)
    for width in (0.08, 0.02, 0.005):
        step = width * (x[:, 2] - x[:, 0])
        v = np.minimum(np.maximum(_vertex(x, y), step), 1.0 - step)
        x = np.stack([v - step, v, v + step], 1)
        y = _forward(f, *border(x))
        best = np.minimum(best, y.min(1))
    if parts:
        above = parts[0](a, b) > parts[1](a, b)
        best = np.minimum(best, _forward(f, *border(_crossings(border, parts, above))).min(1))
    return np.asarray(best)


def _crossings(
    border: Callable[[Array], tuple[Array, Array]],
    parts: Sequence[Callable[[Array, Array], Array]],
    above: NDArray[np.bool_],
) -> Array:
    """Where along the border the two parts cross, by bisection: (rows, crossings), padded."""
    turns = above[:, 1:] != above[:, :-1]
    most = max(1, int(turns.sum(1).max()))
    cell = np.argsort(~turns, axis=1, kind="stable")[:, :most]
    left, right = FINE[cell], FINE[cell + 1]
    start = np.take_along_axis(above, cell, 1)
    for _ in range(26):
        middle = (left + right) / 2
        a, b = border(middle)
        same = (parts[0](a, b) > parts[1](a, b)) == start
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return (left + right) / 2


def _vertex(x: Array, y: Array) -> Array:
    """The lowest point of the parabola through three points (rows × 3), kept between them."""
    (x0, x1, x2), (y0, y1, y2) = x.T, y.T
    p, q = (x1 - x0) * (y1 - y2), (x1 - x2) * (y1 - y0)
    with np.errstate(divide="ignore", invalid="ignore"):
        v = x1 - 0.5 * ((x1 - x0) * p - (x1 - x2) * q) / (p - q)
    v = np.where(np.isfinite(v), v, x1)
    return np.asarray(np.minimum(np.maximum(v, x0), x2))


def _forward(f: Callable[[Array, Array], Array], a: Array, b: Array) -> Array:
    # Where the border crosses a = b the channel carries nothing in this direction.
    return np.where(a > b, f(a, b), 0.0)


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
    return {name: max(0.0, float(_forward(functional(name, delta), a, b))) for name in of}


def box_upper(tp: int, positives: int, fp: int, negatives: int, alpha: float = 0.05) -> float:
    """Return a certified *upper* bound on the bits of this fixed 2×2 channel.

    Legitimate because the channel is finite and fully enumerated: one flag, two secrets. The bits
    are convex in the channel, so their maximum over the two-sided Clopper–Pearson box (alpha / 4 a
    side, both rates together alpha) sits at one of its four corners.
    """
    if positives <= 0 or negatives <= 0:
        return 1.0
    a = clopper_pearson(tp, positives, alpha / 4)
    b = clopper_pearson(fp, negatives, alpha / 4)
    return float(max(bits(x, y) for x in a for y in b))


def _shaped(value: Array, shape: tuple[int, ...]) -> Any:
    return float(value[0]) if shape == () else value.reshape(shape)
