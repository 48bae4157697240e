"""Limits of usual metrics where no spread was seen: one cluster, or clusters all alike.

A t interval then has no width and a likelihood ratio counts uses as if they were independent; both
say more than is known. What m independent units, all of one mean, do tell is Markov's: proof in
``design/measurement.md`` §9. With one unit that is alpha of what was seen, on shares of rows it is
Clopper and Pearson's limit at the edge.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import cluster_code, profile_likelihood, two_rates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LONE = (
    "one cluster: of the spread between clusters nothing is known; intervals count it as one draw, "
    "however many its uses"
)
"""What a row of one cluster says of its intervals."""


def still(
    value: float, units: int, alpha: float, least: float = 0.0, most: float = 1.0
) -> tuple[float, float]:
    """Return limits, each one-sided at ``alpha``, for the mean of units that all had one value.

    Args:
        value: of every unit.
        units: independent ones, at least 1.
        alpha: error of one side.
        least, most: between which every unit must lie; infinite where there is no such end, and
            then there is no limit on that side either.
    """
    kept = alpha ** (1.0 / units)
    low = least + kept * (value - least) if math.isfinite(least) else -math.inf
    return low, most - kept * (most - value) if math.isfinite(most) else math.inf


def share(hit: NDArray[Any], cluster: Whole | None, alpha: float) -> dict[str, float]:
    """Return a share with limits, each one-sided at ``alpha``, in the form of a usual metric.

    Exact for independent rows (Clopper–Pearson); with clusters calibrated, of counts divided by
    their design effect, and ``still`` where the share is 0 or 1 or there is one cluster only.

    Args:
        hit: (n,) true or false.
        cluster: (n,) integers 0..m−1, or None when rows are independent.
        alpha: error of one side.
    """
    n, k = len(hit), float(hit.sum())
    if cluster is None:
        low, high = (float(end) for end in two_rates.clopper_pearson(k, n, alpha))
    elif (m := int(cluster.max()) + 1) == 1 or k in (0, n):
        low, high = still(k / n, m, alpha)
    else:
        sums, sizes = cluster_code.grouped(hit, cluster), np.bincount(cluster).astype(float)
        wide = profile_likelihood.design_effect(sums, sizes)
        low, high = profile_likelihood.accuracy_interval(
            k / wide, n / wide, alpha=alpha, clusters=m
        )
    return {"value": k / n, "low": low, "high": high, "n": n}


def mean_limits(
    x: Array,
    cluster: Whole | None,
    alpha: float,
    *,
    least: float = -math.inf,
    most: float = math.inf,
) -> tuple[float, float]:
    """Return a two-sided interval of a mean: t over rows or clusters, else ``still``.

    Args:
        x: (n,) values.
        cluster: (n,) integers 0..m−1, or None when rows are independent.
        alpha: error of both sides together.
        least, most: between which every value must lie, if anything is known of that.

    Returns:
        Both ends within ``least`` … ``most``; infinite where nothing is known.
    """
    from scipy.special import stdtrit

    n, mean = len(x), float(x.mean())
    sums = x - mean if cluster is None else cluster_code.grouped(x - mean, cluster)
    m = len(sums)
    if m < 2 or x.min() == x.max():
        return still(mean, m, alpha / 2, least, most)
    spread = math.sqrt(float((sums**2).sum()) * m / (m - 1)) / n
    reach = float(stdtrit(m - 1, 1.0 - alpha / 2)) * spread
    return max(least, mean - reach), min(most, mean + reach)
