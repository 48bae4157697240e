"""The calibrated tier: profile-likelihood limits for two rates, widened for clusters.

Beside the certified bound of E1 there is an interval with the right coverage on average: the set of
channels whose deviance from the observed counts is below a χ² quantile. With clusters the counts
are divided by their design effect (Rao–Scott) and the quantile is that of F(1, m − 1).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hartley.infotheory.binary_channel import bits

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SHARES = np.sin(np.linspace(0.0, np.pi / 2, 41)) ** 2


def quantile(alpha: float, clusters: int = 0) -> float:
    """Return the deviance that a one-sided limit at ``alpha`` allows.

    Args:
        alpha: error of one side.
        clusters: independent units; 0 for independent rows; with 1 the interval is unlimited.
    """
    from scipy.special import ndtri, stdtrit

    if clusters == 1:
        return math.inf
    q = float(stdtrit(clusters - 1, 1.0 - alpha) if clusters > 1 else ndtri(1.0 - alpha))
    return q * q


def rate_limits(k: float, n: float, deviance: Array | float) -> tuple[Array, Array]:
    """Return the rates below and above k/n whose binomial deviance is ``deviance``.

    Args:
        k: successes; may be fractional (effective counts).
        n: trials.
        deviance: 2·(log-likelihood lost), any shape.
    """
    want = np.asarray(deviance, np.float64)
    p = k / n
    low, high = np.zeros_like(want), np.ones_like(want)
    below = _solve(p, n, want, np.zeros_like(want), np.full_like(want, p)) if p > 0 else low
    above = _solve(p, n, want, np.ones_like(want), np.full_like(want, p)) if p < 1 else high
    return below, above


def _solve(p: float, n: float, want: Array, far: Array, near: Array) -> Array:
    from scipy.special import rel_entr

    for _ in range(32):
        middle = (far + near) / 2
        lost = 2.0 * n * (rel_entr(p, middle) + rel_entr(1.0 - p, 1.0 - middle))
        out = lost > want
        far, near = np.where(out, middle, far), np.where(out, near, middle)
    return near


def bits_interval(
    tp: float, positives: float, fp: float, negatives: float, *, alpha: float, clusters: int = 0
) -> tuple[float, float]:
    """Return calibrated one-sided limits, each at ``alpha``, for the bits of a 2×2 channel.

    Args:
        tp, fp: flagged uses, of secret 1 and secret 0; effective counts may be fractional.
        positives, negatives: uses of either secret, effective.
        alpha: error of one side.
        clusters: independent units, or 0.
    """
    limit = quantile(alpha, clusters)
    if limit == math.inf:
        return 0.0, 1.0
    if tp / positives < fp / negatives:
        tp, positives, fp, negatives = fp, negatives, tp, positives
    a0, a1 = rate_limits(tp, positives, limit * SHARES)
    b0, b1 = rate_limits(fp, negatives, limit * (1.0 - SHARES))
    inner = np.where(a0 > b1, bits(a0, b1), 0.0)
    # The far side: rates apart. Crossing over (b above a) can only matter near the null.
    c0, c1 = a0, b1
    outer = np.maximum(bits(a1, b0), np.where(c1 > c0, bits(c1, c0), 0.0))
    return float(inner.min()), float(outer.max())


def accuracy_interval(
    correct: float, n: float, *, alpha: float, clusters: int = 0
) -> tuple[float, float]:
    """Return calibrated one-sided limits, each at ``alpha``, for one rate."""
    low, high = rate_limits(correct, n, quantile(alpha, clusters))
    return float(low), float(high)


def design_effect(hits: Array, sizes: Array) -> float:
    """Return how much clustering inflates the variance of Σhits/Σsizes, at least 1.

    Args:
        hits: (m,) successes by cluster.
        sizes: (m,) trials by cluster.
    """
    m, n = len(hits), float(sizes.sum())
    if m < 2 or n <= 0:
        return 1.0
    p = float(hits.sum()) / n
    if p <= 0.0 or p >= 1.0:
        return 1.0
    spread = float(((hits - p * sizes) ** 2).sum()) * m / (m - 1)
    return max(1.0, spread / (n * p * (1.0 - p)))
