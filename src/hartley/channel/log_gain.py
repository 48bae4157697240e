"""How many times as many bits one channel has as another, with limits, and for several at once.

A quotient of two estimates has Fieller's limits (1954): all r for which p₁ − r·p₀ may be 0, the
error being that of a jackknife over victims, the same ones in both where they are paired. Where the
certified lower bound of the first is 0, or its error is too large for both limits to exist, the
quotient could be anything, and the difference of the bits is reported in its place.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from hartley.channel.compare import Difference, bits_without_each_part, difference
from hartley.channel.readouts.information import FEW_CLUSTERS
from hartley.core import Trials

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class LogGain:
    """A gain, as a logarithm or as a difference.

    Attributes:
        scale: ``log2`` of the quotient, or ``bits`` of the difference.
        value: the gain; 0 is none.
        low, high: limits at alpha together; None where an end is open.
        difference: of the bits, whose test says whether there is a gain.
        why: why there is no quotient; empty where there is one.
    """

    scale: str
    value: float
    low: float | None
    high: float | None
    difference: Difference
    why: str = ""

    @property
    def p_above(self) -> float:
        """p-value of "the second has at most as many bits as the first"."""
        return self.difference.p_above()

    @property
    def p_below(self) -> float:
        """p-value of "the second has at least as many bits as the first"."""
        return self.difference.p_below()


def log_gain(
    before: Trials,
    after: Trials,
    points: tuple[float, float],
    *,
    certified: float | None,
    paired: bool,
    alpha: float = 0.05,
) -> LogGain:
    """Return the gain of the second channel over the first.

    Args:
        before, after: trials of both.
        points: bits per use of each, as ``measure`` reports them.
        certified: certified lower bound of the first.
        paired: whether both have the same secrets and victims, row by row.
        alpha: error level of the interval, both ends together.

    Raises:
        BadTrials: a table cannot be measured.
    """
    between = difference(before, after, points, paired=paired)
    low, high = between.ends(alpha / 2)

    def as_difference(why: str) -> LogGain:
        if not math.isfinite(between.error):
            return LogGain("bits", between.point, None, None, between, why)
        return LogGain("bits", between.point, low, high, between, why)

    if not certified or min(points) <= 0:
        return as_difference(
            "nothing is certified without it, so that a quotient could be anything"
        )
    if between.error == 0.0:
        return LogGain("log2", 0.0, 0.0, 0.0, between)
    parts, units = zip(*map(bits_without_each_part, (before, after)), strict=True)
    if min(units) < FEW_CLUSTERS:
        return as_difference(between.how)
    covariance = _covariance(parts[0], parts[1], paired=paired)
    # The answer of a single row could be another even where all victims show the same.
    grain = [between.most / len(trials.truth) for trials in (before, after)]
    covariance[[0, 1], [0, 1]] += np.square(grain)
    freedom = between.freedom if math.isfinite(between.freedom) else min(map(len, parts)) - 1.0
    limits = fieller(points, covariance, freedom, alpha)
    if limits is None:
        return as_difference("what leaks without it is too uncertain for a quotient")
    ends = [math.log2(end) if end > 0 else None for end in limits]
    return LogGain("log2", math.log2(points[1] / points[0]), ends[0], ends[1], between)


def fieller(
    points: tuple[float, float], covariance: np.ndarray, freedom: float, alpha: float
) -> tuple[float, float] | None:
    """Return the limits of points[1]/points[0]; None where they are not an interval.

    Args:
        points: denominator and numerator.
        covariance: (2, 2) of both.
        freedom: degrees of freedom of the covariance.
        alpha: error level of both limits together.
    """
    from scipy.special import stdtrit

    square = float(stdtrit(freedom, 1 - alpha / 2)) ** 2
    below, above = points
    a = below**2 - square * covariance[0, 0]
    b = below * above - square * covariance[0, 1]
    c = above**2 - square * covariance[1, 1]
    if a <= 0:
        return None
    root = math.sqrt(max(0.0, b * b - a * c))
    return (b - root) / a, (b + root) / a


def _covariance(first: np.ndarray, second: np.ndarray, *, paired: bool) -> np.ndarray:
    """(2, 2) covariance of two points from the bits without each part (jackknife)."""

    def of(x: np.ndarray, y: np.ndarray) -> float:
        g = len(x)
        return float((g - 1) / g * ((x - x.mean()) * (y - y.mean())).sum())

    both = of(first, second) if paired and len(first) == len(second) else 0.0
    return np.array([[of(first, first), both], [both, of(second, second)]])


def together(p_values: Mapping[Name, float], alpha: float = 0.05) -> set[Name]:
    """Return what is rejected at ``alpha`` for all together (Holm 1979)."""
    rejected: set[Name] = set()
    for rank, name in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        if p_values[name] > alpha / (len(p_values) - rank):
            break
        rejected.add(name)
    return rejected
