"""Two rates as a binary channel: functionals of (a, b), and exact limits of a rate.

(a, b) = (true-positive rate, false-positive rate) of one flag about one secret bit. Every
functional grows with a and falls with b where a > b.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

LN2 = math.log(2.0)
FUNCTIONALS = ("bits", "capacity", "min_capacity", "advantage", "epsilon", "mu")
"""What ``two_rates.lower`` can bound; ``epsilon`` is in nats, ``mu`` is the Gaussian-DP
parameter."""


def entropy(p: ArrayLike) -> Array:
    """Return the binary entropy h₂(p) in bits, elementwise."""
    from scipy.special import entr

    p = np.asarray(p, dtype=np.float64)
    return np.asarray((entr(p) + entr(1.0 - p)) / LN2)


def bits(a: ArrayLike, b: ArrayLike) -> Array:
    """Return the Shannon bits per use at the uniform prior of the channel with rates a and b."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    from scipy.special import entr

    pooled, c = (a + b) / 2, 1.0 - (a + b) / 2
    apart = entr(a) + entr(1.0 - a) + entr(b) + entr(1.0 - b)
    return np.asarray(np.maximum(entr(pooled) + entr(c) - apart / 2, 0.0) / LN2)


def capacity(a: ArrayLike, b: ArrayLike) -> Array:
    """Return the capacity in bits per use: the maximum over priors, in closed form."""
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    gap = a - b
    # Near a = b the closed form cancels; there both functionals agree to second order.
    near = np.abs(gap) < 1e-6
    ha, hb = entropy(a), entropy(b)
    slope = np.where(near, 0.0, (hb - ha) / np.where(near, 1.0, gap))
    exact = -ha - (a - 1.0) * slope - slope + np.logaddexp2(0.0, slope)
    return np.where(near, bits(a, b), np.maximum(exact, 0.0))


def min_capacity(a: ArrayLike, b: ArrayLike) -> Array:
    """Return the min-capacity (maximal leakage) log2(1 + |a − b|) in bits per use."""
    return np.asarray(np.log1p(np.abs(np.asarray(a) - np.asarray(b))) / LN2)


def epsilon(a: ArrayLike, b: ArrayLike, delta: float = 0.0) -> Array:
    """Return the smallest ε ≥ 0 (nats) of an (ε, δ)-DP mechanism that allows rates a and b."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return np.asarray(np.maximum(ratio(a, b, delta), ratio(1.0 - b, 1.0 - a, delta)))


def ratio(a: Array, b: Array, delta: float) -> Array:
    """Return ln((a − δ)/b), at least 0: what flags alone say about ε."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.fmax(np.log(np.maximum(a - delta, 0.0)) - np.log(b), 0.0))


def mu(a: ArrayLike, b: ArrayLike) -> Array:
    """Return the smallest μ ≥ 0 of a μ-GDP mechanism that allows rates a and b."""
    from scipy.special import ndtri

    with np.errstate(invalid="ignore"):
        gap = np.asarray(ndtri(a) - ndtri(b))
    return np.asarray(np.fmax(gap, 0.0))


def functional(name: str, delta: float = 0.0) -> Callable[[Array, Array], Array]:
    """Return the functional of that name as a function of (a, b)."""
    table: dict[str, Callable[[Array, Array], Array]] = {
        "bits": bits,
        "capacity": capacity,
        "min_capacity": min_capacity,
        "advantage": lambda a, b: a - b,
        "epsilon": lambda a, b: epsilon(a, b, delta),
        "mu": mu,
    }
    return table[name]


def clopper_pearson(k: ArrayLike, n: ArrayLike, alpha: ArrayLike) -> tuple[Array, Array]:
    """Return the exact lower and upper limit of a rate, each one-sided at level ``alpha``.

    Args:
        k: successes, elementwise.
        n: trials.
        alpha: error of each side; use alpha / 2 for a two-sided interval.
    """
    return rate_low(*np.broadcast_arrays(k, n, alpha)), rate_high(*np.broadcast_arrays(k, n, alpha))


def rate_low(k: Any, n: Any, p: Any) -> Array:
    """The rate at which P(Bin(n, rate) ≥ k) = p."""
    from scipy.special import betaincinv

    k, n = np.asarray(k, np.float64), np.asarray(n, np.float64)
    out = betaincinv(np.maximum(k, 1.0), n - np.maximum(k, 1.0) + 1.0, p)
    return np.where(k <= 0, 0.0, out)


def rate_high(k: Any, n: Any, p: Any) -> Array:
    """The rate at which P(Bin(n, rate) ≤ k) = p."""
    from scipy.special import betainccinv

    k, n = np.asarray(k, np.float64), np.asarray(n, np.float64)
    count = np.minimum(k, n - 1.0)
    out = betainccinv(count + 1.0, n - count, p)
    return np.where(k >= n, 1.0, out)
