"""The interval of a rate: exact for independent rows, by betting over clusters.

Over clusters the rate θ is Σ nᵢμᵢ / Σ nᵢ: the mean of cluster i as often as it was tried. Against
"the rate is θ" a bet of λ multiplies a capital by 1 + λ·vᵢ·(Yᵢ − θ) for each cluster, with Yᵢ its
mean and vᵢ = nᵢ / max n. For independent clusters the mean of the product is Π(1 + λvᵢ(μᵢ − θ)),
at most 1 by the inequality of the means, whatever the clusters' own rates are. A mixture of bets
fixed beforehand is therefore above 1/alpha with chance at most alpha (Markov), for any number of
clusters and any dependence within one. The bets are those of arXiv:2010.09686, §4, without
adaptation; ``bench/rate_intervals.py`` has their measured coverage and width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.infotheory import binary_channel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

EXACT = "Clopper–Pearson, exact for independent rows"
BETTING = "betting over clusters, valid for any number of them (arXiv:2010.09686)"


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with a two-sided interval.

    Attributes:
        value: the mean of all rows.
        low, high: the ends; each is passed with chance at most alpha / 2.
        alpha: error level of both ends together.
        n: rows.
        clusters: independent units.
        method: how the interval was computed.
    """

    value: float
    low: float
    high: float
    alpha: float
    n: int
    clusters: int
    method: str


def rate_interval(values: Array, cluster: Whole | None, alpha: float = 0.05) -> Rate:
    """Return the mean of values in 0..1 with its interval.

    Args:
        values: (n,) outcomes: 1 success, 0 failure, or a share; n is 1 or more.
        cluster: (n,) integers 0..m−1 of what rows have in common, or None for independent rows.
        alpha: error level of both ends together.
    """
    n = len(values)
    m = n if cluster is None else int(cluster.max()) + 1
    value = float(values.mean())
    if m == n and bool(np.isin(values, (0.0, 1.0)).all()):
        exact = binary_channel.clopper_pearson(values.sum(), n, alpha / 2)
        return Rate(value, float(exact[0]), float(exact[1]), alpha, n, n, EXACT)
    labels = np.arange(n) if cluster is None else cluster
    sizes = np.bincount(labels).astype(np.float64)
    means = np.bincount(labels, weights=values) / sizes
    low = betting_low(means, sizes, alpha / 2)
    high = 1.0 - betting_low(1.0 - means, sizes, alpha / 2)
    return Rate(value, min(low, value), max(high, value), alpha, n, m, BETTING)


def betting_low(means: Array, sizes: Array, alpha: float) -> float:
    """Return the lower limit of the rate of independent clusters, one-sided at ``alpha``.

    Args:
        means: (m,) mean outcome of each cluster, in 0..1.
        sizes: (m,) rows of each cluster, above 0.
        alpha: error level.
    """
    kinds, counts = np.unique(np.stack([means, sizes], 1), axis=0, return_counts=True)
    y, v = kinds[:, 0], kinds[:, 1] / sizes.max()
    bets, log_weights = _bets(float(counts @ v**2), alpha)
    limit = math.log(1.0 / alpha)

    def refuted(rate: float) -> bool:
        stakes = np.minimum(bets, 1.0 / rate)[:, None] * (v * (y - rate))
        # All is lost on a cluster without a success where the bet was everything.
        log_wealth = np.log1p(np.maximum(stakes, -1.0 + 1e-15)) @ counts + log_weights
        top = float(log_wealth.max())
        return top + math.log(float(np.exp(log_wealth - top).sum())) >= limit

    low, high = 0.0, float((means @ sizes) / sizes.sum())
    for _ in range(50):
        middle = 0.5 * (low + high)
        if middle <= 0.0:
            break
        # The capital falls as the rate grows, so that refuted rates are those below one point.
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def _bets(units: float, alpha: float) -> tuple[Array, Array]:
    """Return bets that double from the best one for the widest clusters, and their log weights.

    Args:
        units: Σ vᵢ², how many clusters of the largest size these are worth.
        alpha: error level.
    """
    least = math.sqrt(8.0 * math.log(1.0 / alpha) / units)
    count = max(0, math.ceil(math.log2(2.0 * units / least)))
    place = np.arange(1.0, count + 2.0)
    weights = 1.0 / (place * (place + 1.0))
    # The last bet is everything, 1 / rate, which is the best one where all clusters succeed.
    bets = np.append(least * 2.0 ** (place[:-1] - 1.0), np.inf)
    return bets, np.log(weights / weights.sum())
