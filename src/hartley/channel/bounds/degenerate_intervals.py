"""Limits of the usual metrics where the data show no variance: one cluster, or equal clusters.

A t interval then has no width and a likelihood ratio counts uses as if they were independent. Both
intervals would be too narrow. With m independent units and no observed variance we use a Markov
bound (proof: ``design/measurement.md`` §9). With one unit its lower limit is alpha times the
observed value; for shares of rows it equals the Clopper–Pearson limit at 0 or 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import cluster_code, clustered_rate, profile_likelihood
from hartley.infotheory import binary_channel
from hartley.infotheory.e_values import units_lower

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LONE = (
    "one cluster: the spread between clusters is unknown; intervals count the cluster as one draw, "
    "however many uses it has"
)
"""The assumption that a row with a single cluster lists about its intervals."""
ALONE = "one cluster: no bits are certified from it alone; see leakage"
"""The assumption that a certificate from a single cluster lists."""


def no_variance_limits(
    value: float, units: int, alpha: float, least: float = 0.0, most: float = 1.0
) -> tuple[float, float]:
    """Return limits, each one-sided at ``alpha``, for the mean of units that all had one value.

    Args:
        value: the value of every unit.
        units: number of independent units, at least 1.
        alpha: error of one side.
        least, most: the range of a unit; an infinite end leaves that side without a limit.
    """
    ratio = alpha ** (1.0 / units)
    low = least + ratio * (value - least) if math.isfinite(least) else -math.inf
    return low, most - ratio * (most - value) if math.isfinite(most) else math.inf


METRIC_LEVELS = 6
"""How many levels a usual metric has lower ends at: alpha, and then half of it each time."""


def metric_lows(alpha: float, low: float, certified: Callable[[float], float]) -> list[list[float]]:
    """Return [level, lower end] pairs of a metric at falling levels, for the gate's family level.

    Limits that are calibrated at ``alpha`` miss more often than a far level says, so that all but
    the first are certified.

    Args:
        alpha: the level of the metric's own interval.
        low: its lower end.
        certified: level → a lower bound that holds with chance 1 − level for any law.
    """
    levels = [alpha * 2.0**-k for k in range(METRIC_LEVELS)]
    ends = np.minimum.accumulate([low, *(certified(level) for level in levels[1:])])
    return [[level, float(end)] for level, end in zip(levels, ends, strict=True)]


def share_interval(hit: NDArray[Any], cluster: Whole | None, alpha: float) -> dict[str, Any]:
    """Return a share with limits, as a metric of a channel; its ends are those of ``share_limits``.

    Its lower ends at falling levels (``lows``) are Clopper–Pearson's for independent rows, and
    betting's over clusters of any sizes (``bounds.clustered_rate``).

    Args:
        hit: (n,) true or false.
        cluster: (n,) integers 0..m−1, or None when rows are independent.
        alpha: error of one side.
    """
    n, k = len(hit), float(hit.sum())
    low, high = share_limits(hit, cluster, alpha)
    if cluster is None:
        lows = metric_lows(alpha, low, lambda a: float(binary_channel.clopper_pearson(k, n, a)[0]))
    else:
        sizes = np.bincount(cluster).astype(np.float64)
        means = cluster_code.grouped(hit, cluster) / sizes
        lows = metric_lows(alpha, low, lambda a: clustered_rate.betting_low(means, sizes, a))
    return {"value": k / n, "low": low, "high": high, "n": n, "lows": lows}


def share_limits(hit: NDArray[Any], cluster: Whole | None, alpha: float) -> tuple[float, float]:
    """Return limits of a share, each one-sided at ``alpha``.

    Exact (Clopper–Pearson) for independent rows. Calibrated for clusters, from counts divided by
    their design effect; ``no_variance_limits`` where the share is 0 or 1 or there is one cluster.

    Args:
        hit, cluster, alpha: as of ``share_interval``.
    """
    n, k = len(hit), float(hit.sum())
    if cluster is None:
        low, high = binary_channel.clopper_pearson(k, n, alpha)
        return float(low), float(high)
    if (m := int(cluster.max()) + 1) == 1 or k in (0, n):
        return no_variance_limits(k / n, m, alpha)
    sums, sizes = cluster_code.grouped(hit, cluster), np.bincount(cluster).astype(float)
    wide = profile_likelihood.design_effect(sums, sizes)
    return profile_likelihood.accuracy_interval(k / wide, n / wide, alpha=alpha, clusters=m)


STRAIGHT = 1e-6
"""Skewness below which there is nothing to straighten."""


def mean_limits(
    x: Array,
    cluster: Whole | None,
    alpha: float,
    *,
    least: float = -math.inf,
    most: float = math.inf,
) -> tuple[float, float]:
    """Return limits of a mean, each one-sided: t over rows or clusters, or ``no_variance_limits``.

    Args:
        x: (n,) values.
        cluster: (n,) integers 0..m−1, or None when rows are independent.
        alpha: error of one side.
        least, most: the range of a value, where one is known.

    Returns:
        Both ends within ``least`` … ``most``; infinite where there is no limit.
    """
    from scipy.special import stdtrit

    n, mean = len(x), float(x.mean())
    sums = x - mean if cluster is None else cluster_code.grouped(x - mean, cluster)
    m = len(sums)
    if m < 2 or x.min() == x.max():
        return no_variance_limits(mean, m, alpha, least, most)
    spread = math.sqrt(float((sums**2).sum()) * m / (m - 1)) / n
    reach = float(stdtrit(m - 1, 1.0 - alpha)) * spread
    return max(least, mean - reach), min(most, mean + reach)


def skewed_mean_limits(
    x: Array, alpha: float, *, least: float = -math.inf, most: float = math.inf
) -> tuple[float, float]:
    """Return limits of a mean of few values whose law may be skewed, each one-sided.

    The t statistic is straightened by the cubic of Hall (1992, On the removal of skewness by
    transformation). A difference that is near its largest for most victims and rarely far from it
    leaves Student's upper limit too low in 9 to 13 % where 2.5 % is declared, and this one in 3 to
    4 % (``bench/edge_intervals.py``); it is a tenth wider where nothing is skewed.

    Args:
        x: (n,) independent values.
        alpha: error of one side.
        least, most: the range of a value, where one is known.
    """
    from scipy.special import stdtrit

    n = len(x)
    if n < 3 or x.min() == x.max():
        return mean_limits(x, None, alpha, least=least, most=most)
    mean, spread = float(x.mean()), float(x.std(ddof=1))
    skew = float(((x - mean) ** 3).mean() / x.std() ** 3) * math.sqrt(n * (n - 1)) / (n - 2)
    if abs(skew) < STRAIGHT:
        return mean_limits(x, None, alpha, least=least, most=most)
    ends = []
    for level in (1 - alpha, alpha):
        t = float(stdtrit(n - 1, level)) / math.sqrt(n)
        root = float(np.cbrt(1 + skew * (t - skew / (6 * n))))
        ends.append(mean - spread * 3 * (root - 1) / skew)
    return max(least, min(ends[0], mean)), min(most, max(ends[1], mean))


def rounds_interval(values: Array, alpha: float) -> dict[str, Any]:
    """Return the mean over rounds as a metric of a channel: t limits, and ends at falling levels.

    Args:
        values: (rounds,) at least two.
        alpha: error of one side.
    """
    # A rate or a count is at least 0, a rate at most 1.
    least = 0.0 if values.min() >= 0.0 else -math.inf
    most = 1.0 if least == 0.0 and values.max() <= 1.0 else math.inf
    low, high = mean_limits(values, None, alpha, least=least, most=most)
    # Equal rounds do not limit an unbounded figure: report no interval, not one of width 0.
    is_finite = math.isfinite(low) and math.isfinite(high)
    ends: dict[str, float | None] = {"low": low, "high": high}
    ends = ends if is_finite else dict.fromkeys(ends)
    metric: dict[str, Any] = {"value": float(values.mean()), **ends, "n": len(values)}
    if is_finite and math.isfinite(least):
        certified = partial(units_lower, values, np.full(len(values), least), least=least)
        metric["lows"] = metric_lows(alpha, low, certified)
    return metric
