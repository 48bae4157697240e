"""The reproduction number: how many others one infected individual infects.

An outbreak is a tree: the time of each infection, and where it came from. Counted are individuals
that were infected while few had been, so that there was somebody left to infect, and whose
infectious period was seen whole; one whose period the end of the record cuts off would count too
few. Both are known at the moment of infection, so that leaving others out moves no mean: the sum
over those counted of (infected by it − R) has mean 0, as in a branching process that is stopped
(Wald). R̂ is Harris's estimator of 1948: those infected by the counted, over the number of these.

The interval inverts the score Σ(xᵢ − R) against the variance N·φ·(R + a·R²), which is that of
Poisson (a = 0) and geometric (a = 1) numbers at φ = 1. The dispersion a is the sample's, drawn
towards the geometric law by the weight of ``PRIOR`` individuals; φ ≥ 1 is by how much the sums of
outbreaks vary more than independent individuals would. ``bench/reproduction.py`` has the measured
coverage.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hartley.core.errors import UsageError

PRIOR = 20.0
"""Individuals that the geometric law counts as, when the dispersion is estimated."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A reproduction number with its interval.

    Attributes:
        value: mean number that an individual infects.
        low, high: ends, each passed with chance alpha / 2; ``high`` is infinite where so few
            individuals were counted that any number is possible.
        n: individuals that were counted.
        outbreaks: independent outbreaks.
    """

    value: float
    low: float
    high: float
    n: int
    outbreaks: int


def reproduction(outbreaks: Sequence[Sequence[int]], alpha: float = 0.05) -> Reproduction:
    """Return the reproduction number of outbreaks that are independent of one another.

    Args:
        outbreaks: for each, how many others each counted individual infected; two or more
            outbreaks. One in which nobody was counted may be among them.
        alpha: error level of both ends together.

    Raises:
        UsageError: fewer than two outbreaks, nobody was counted, or numbers below 0.
    """
    from scipy.special import stdtrit

    if len(outbreaks) < 2:
        raise UsageError(f"outbreaks must be two or more, got {len(outbreaks)}")
    sizes = np.array([len(one) for one in outbreaks], np.float64)
    x = np.array([number for one in outbreaks for number in one], np.float64)
    if not len(x):
        raise UsageError("outbreaks must have someone whom it was seen to the end whom they infect")
    if not np.isfinite(x).all() or (x < 0).any():
        raise UsageError(f"numbers of those infected must be 0 or more, got {x.min():g}")
    n, value = len(x), float(x.mean())
    sums = np.array([float(sum(one)) for one in outbreaks])
    spread = _dispersion(x, value)
    excess = sums - value * sizes
    model = max(n * (value + spread * value**2), 1e-12)
    m = len(outbreaks)
    wider = max(1.0, float((excess**2).sum()) * m / (m - 1) / model) if value else 1.0
    reach = float(stdtrit(m - 1, 1 - alpha / 2)) ** 2 * wider / n
    low, high = _ends(value, reach, spread)
    return Reproduction(value, low, high, n, m)


def _dispersion(x: NDArray[np.float64], value: float) -> float:
    """Return a of the variance R + a·R²."""
    if not value:
        return 1.0
    variance = float(x.var(ddof=1)) if len(x) > 1 else value + value**2
    excess = (variance - value) / value**2
    return (len(x) * excess + PRIOR) / (len(x) + PRIOR)


def _ends(value: float, reach: float, spread: float) -> tuple[float, float]:
    """Solve (value − R)² = reach · (R + spread · R²) for R."""
    square, half = 1.0 - reach * spread, value + reach / 2
    root = math.sqrt(max(half**2 - square * value**2, 0.0))
    # The smaller root, in the form without cancellation.
    low = min(value**2 / (half + root), value)
    return low, max((half + root) / square, value) if square > 0 else math.inf


def counted(
    infected_at: Sequence[int],
    sources: Sequence[int],
    *,
    end: int,
    window: int,
    most_before: int,
) -> list[int]:
    """Return how many others each counted individual of one outbreak infected.

    Args:
        infected_at: (n,) when each infected individual was infected, in whole steps.
        sources: (n,) number of the individual that infected it, or −1 for one from outside.
        end: the last step that was seen.
        window: length of the infectious period in steps; infections after it are not counted,
            so that R is of this period.
        most_before: individuals count only if fewer than this were infected in earlier steps.
    """
    times, by = np.asarray(infected_at, np.int64), np.asarray(sources, np.int64)
    inside = np.flatnonzero(by >= 0)
    inside = inside[times[inside] <= times[by[inside]] + window]
    infected = np.bincount(by[inside], minlength=len(times))
    before = np.searchsorted(np.sort(times), times)
    counts = (times + window <= end) & (before < most_before)
    return [int(number) for number in infected[counts]]
