"""Exact chances that a watermark's score is as large by chance, far out in the tail.

A normal law says too little of the tail (design/measurement.md), and repeated n-grams are not
independent (arXiv:2308.00113). Scores here are sums over units that are independent when the key
is random: of exponentials, of coins that count once or several times, or of features with random
signs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError
from hartley.infotheory.surprisal import LN2, log2_binomial_tail

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def log2_gamma_tail(score: float, n: int) -> float:
    """Return log2 P(Gamma(n, 1) ≥ score): the sum of n exponentials of mean 1.

    Args:
        score: the sum, at least 0.
        n: how many there are, at least 1.

    Raises:
        UsageError: a negative score, or no terms.
    """
    if n < 1 or not 0.0 <= score < math.inf:
        raise UsageError(f"a gamma tail must have n ≥ 1 and 0 ≤ score, got n={n}, score={score!r}")
    if score == 0.0:
        return 0.0
    from scipy.special import gammainc, gammaln, logsumexp

    lower = float(gammainc(n, score))
    if lower < 0.5:
        return math.log1p(-lower) / LN2
    # Fewer than n arrivals of a Poisson process up to the score: a sum of positive terms.
    k = np.arange(n)
    return min(0.0, float(logsumexp(k * math.log(score) - gammaln(k + 1.0)) - score) / LN2)


def log2_weighted_tail(weights: ArrayLike, observed: int, share: float) -> float:
    """Return log2 P(Σ w_i·B_i ≥ observed) for independent coins B_i of probability ``share``.

    A coin that was tossed once and counted w times has the weight w. The law is the convolution
    of one binomial law for each weight, tilted so that its mean is near what was observed: the
    terms that matter then neither vanish nor cancel.

    Args:
        weights: (n,) positive integers.
        observed: 0..Σ w_i.
        share: strictly between 0 and 1.

    Raises:
        UsageError: other weights, an impossible sum, or such a share.
    """
    w = np.asarray(weights, dtype=np.int64)
    total = int(w.sum())
    if w.ndim != 1 or not len(w) or w.min() < 1 or not 0 <= observed <= total:
        raise UsageError(
            f"a weighted tail must have positive weights and 0 ≤ observed ≤ their sum, got "
            f"{observed} of {total} in {w.shape} weights"
        )
    if not 0.0 < share < 1.0:
        raise UsageError(f"share must be strictly between 0 and 1, got {share!r}")
    sizes, counts = np.unique(w, return_counts=True)
    if len(sizes) == 1:
        size = int(sizes[0])
        return log2_binomial_tail(-(-observed // size), len(w), share)
    theta = _tilt(sizes, counts, observed, total, share)
    law, log_scale = np.ones(1), 0.0
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        log_mean = float(np.logaddexp(math.log1p(-share), math.log(share) + theta * size))
        tilted = math.exp(math.log(share) + theta * size - log_mean)
        coin = np.zeros(size * count + 1)
        coin[::size] = _binomial_law(count, tilted)
        law = np.convolve(law, coin)
        log_scale += count * log_mean
    k = np.arange(observed, total + 1)
    with np.errstate(divide="ignore"):
        logs = np.log(law[observed:]) - theta * k
    top = float(logs.max())
    return min(0.0, (log_scale + top + math.log(float(np.exp(logs - top).sum()))) / LN2)


def log2_sign_sum_tail(weights: NDArray[Any], total: int) -> float:
    """Return log2 P(Σ sᵢ·wᵢ ≥ total) for independent fair signs sᵢ.

    A detector that adds up features of an item with ±1 signs from a key has this law over keys, on
    an item that does not depend on the key: nothing is assumed about the item.

    Args:
        weights: (n,) whole numbers; their signs do not matter. Few different sizes are fast.
        total: the sum that was observed, a whole number.

    Raises:
        UsageError: the weights are not whole numbers.
    """
    sizes = np.abs(np.asarray(weights))
    if sizes.dtype.kind not in "iu":
        raise UsageError(f"weights must be whole numbers, got {sizes.dtype}")
    largest = int(sizes.sum())
    if total > largest:
        return -math.inf
    if total <= -largest:
        return 0.0
    # A weight w adds 0 or 2w to the smallest sum.
    return log2_weighted_tail(sizes[sizes > 0], (total + largest + 1) // 2, 0.5)


def _tilt(
    sizes: NDArray[Any], counts: NDArray[Any], observed: int, total: int, share: float
) -> float:
    """Return the tilt at which the mean is what was observed, at least 0 (by bisection)."""
    log_odds = math.log(share / (1.0 - share))
    target = min(max(float(observed), share * total), total - 0.5)
    low, high = 0.0, 60.0
    for _ in range(60):
        theta = (low + high) / 2
        mean = float((counts * sizes / (1.0 + np.exp(-(log_odds + theta * sizes)))).sum())
        low, high = (theta, high) if mean < target else (low, theta)
    return low


def _binomial_law(n: int, p: float) -> NDArray[Any]:
    from scipy.special import gammaln

    if p >= 1.0:
        return np.asarray(np.eye(n + 1)[n])
    k = np.arange(n + 1)
    logs = gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
    return np.asarray(np.exp(logs + k * math.log(p) + (n - k) * math.log1p(-p)))
