"""E8: evidence that is valid after every event, and a budget that cannot be exceeded.

An e-process E has mean at most 1 under the null at every stopping time, so that P(E ever reaches
1/alpha) ≤ alpha (Ville). Looking early does not weaken it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LN2 = math.log(2.0)


def log2_kt(successes: int, n: int, p0: float) -> float:
    """Return log2 of the KT mixture e-value against "successes come at rate p0".

    The alternative is the Beta(½, ½) mixture over all rates (Krichevsky–Trofimov).
    """
    failures = n - successes
    mixed = (
        math.lgamma(successes + 0.5) + math.lgamma(failures + 0.5) - math.lgamma(n + 1.0)
    ) - math.log(math.pi)
    return (mixed - successes * math.log(p0) - failures * math.log1p(-p0)) / LN2


def log2_fixed_bet(successes: int, n: int, p0: float, bet: float) -> float:
    """Return log2 of Π(1 + bet·(x − p0)), the e-value of one fixed bet against rate p0."""
    return (
        successes * math.log1p(bet * (1.0 - p0)) + (n - successes) * math.log1p(-bet * p0)
    ) / LN2


@dataclass(slots=True)
class Breaker:
    """A KT e-process on decoy secrets with a known chance p0; O(1) an event.

    It tests "not at rate p0" on both sides: decoys that are guessed too rarely also show a leak.

    Attributes:
        p0: chance of a success when nothing leaks.
        alpha: the chance of ever tripping falsely.
        successes, n: events so far.
        peak: largest log2 e-value so far; the trip latches.
    """

    p0: float
    alpha: float = 0.05
    successes: int = 0
    n: int = 0
    log2_e: float = 0.0
    peak: float = 0.0

    def update(self, success: bool) -> bool:
        """Take one event and return whether the breaker has tripped."""
        # KT predicts the next event at (count + ½)/(n + 1); the e-value is the product of ratios.
        hits = self.successes if success else self.n - self.successes
        chance = self.p0 if success else 1.0 - self.p0
        self.log2_e += math.log2((hits + 0.5) / (self.n + 1.0) / chance)
        self.successes += int(success)
        self.n += 1
        self.peak = max(self.peak, self.log2_e)
        return self.tripped

    @property
    def tripped(self) -> bool:
        """Whether the evidence ever reached 1/alpha."""
        return self.peak >= math.log2(1.0 / self.alpha)

    @property
    def p(self) -> float:
        """An anytime-valid p-value."""
        return float(min(1.0, 2.0**-self.peak))


def rate_sequence(successes: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the two-sided confidence sequence for a rate after n events: valid at every n at once.

    All rates p0 whose KT e-value is still below 1/alpha.
    """
    if n == 0:
        return 0.0, 1.0
    centre, limit = successes / n, math.log2(1.0 / alpha)

    def root(out: float) -> float:
        inside, outside = centre, out
        for _ in range(80):
            middle = (inside + outside) / 2
            p = min(max(middle, 1e-300), 1.0 - 1e-16)
            inside, outside = (
                (inside, middle) if log2_kt(successes, n, p) >= limit else (middle, outside)
            )
        return outside

    return (root(0.0) if successes else 0.0), (root(1.0) if successes < n else 1.0)


def running_rate(successes: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return limits of the mean of n chances that may change from event to event, at every n.

    For a fixed c > 0, exp(c·successes − Σ ln(1 + p_t(e^c − 1))) has mean at most 1 when each chance
    p_t may depend on all events before, and by concavity the sum is at most n·ln(1 + p̄(e^c − 1)).
    So mean p̄ is refuted where the bound is above 1/alpha. Several c share alpha; each limit alone
    is wrong at some n with chance at most alpha.

    Args:
        successes: of n events.
        n: events so far.
        alpha: error level of each limit.
    """
    if n == 0:
        return 0.0, 1.0

    def low(hits: int) -> float:
        reach = (c * hits - math.log(len(TILTS) / alpha) for c in TILTS)
        return max(
            math.expm1(max(r, 0.0) / n) / math.expm1(c) for c, r in zip(TILTS, reach, strict=True)
        )

    return low(successes), 1.0 - low(n - successes)


TILTS = tuple(2.0 ** (k / 2) for k in range(-14, 6))
"""The c of :func:`running_rate`, from 1/128 to 5.7: one of them is near the best for every rate."""


BETS = np.array([0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97, 1.0])
PRIOR = np.array([0.5, 1.0, 1.0, 1.5, 1.5, 2.0, 2.0, 3.0, 4.0, 6.0, 4.0])
PRIOR /= PRIOR.sum()
"""Bets as shares of the largest allowed one, and the initial stake on each. Weighted to
large bets, because with few clusters only these can pay."""


def mean_lower(x: ArrayLike, alpha: float = 0.05, *, floor: float = 0.0) -> float:
    """Return a betting lower bound on the common mean of independent units (arXiv:2010.09686).

    Tests "the mean is at most μ" by wealth Π(1 + λ(x − μ)), mixed over λ: a non-negative
    supermartingale for every such μ, so that wealth above 1/alpha refutes it. Needs only that each
    unit is at least ``floor`` and has the same mean given those before it.

    Args:
        x: (m,) one number per independent unit.
        alpha: error level.
        floor: a proved lower limit of every x.
    """
    return ratio_lower(x, np.ones(np.shape(x)), alpha, floor=floor)


def ratio_lower(
    total: ArrayLike, size: ArrayLike, alpha: float = 0.05, *, floor: float = 0.0
) -> float:
    """Return a betting lower bound on E[total] / E[size] from independent units.

    Args:
        total: (m,) the yield of each unit, at least ``floor``.
        size: (m,) positive weights of the units, for example their numbers of uses.
        alpha: error level.
        floor: a proved lower limit of every total.
    """
    w, s = np.asarray(total, np.float64), np.asarray(size, np.float64)
    if len(w) == 0:
        return floor
    low, high = floor / float(s.min()), float(w.max() / s.min())
    limit = math.log(1.0 / alpha)
    # With unequal sizes the refuted means need not be one interval: scan for the first that is not
    # refuted.
    scan = np.linspace(low, high, 65)
    survivors = (i for i, mean in enumerate(scan) if _wealth(w, s, float(mean), floor) < limit)
    first = next(survivors, len(scan) - 1)
    if first == 0:
        return low
    return _last_above(
        lambda mean: _wealth(w, s, mean, floor) - limit, float(scan[first - 1]), float(scan[first])
    )


def _wealth(w: NDArray[Any], s: NDArray[Any], mean: float, floor: float) -> float:
    """Natural log of the mixed wealth of bets against "E[w] ≤ mean·E[s]"."""
    worst = mean * float(s.max()) - floor  # the most that one unit can cost
    if worst <= 0.0:
        return math.inf
    # The worst unit loses its whole stake, which rounding could make a little more than that.
    stakes = np.maximum(np.outer(BETS, (w - mean * s) / worst), -1.0)
    with np.errstate(divide="ignore"):
        paths = np.log1p(stakes).sum(1)
    if len(w) == 1:
        return float(paths[-1])  # nothing to hedge: Markov's inequality, all on one bet
    top = float(paths.max())
    return top + math.log(float(PRIOR @ np.exp(paths - top)))


FEW = 200
"""Up to this many units bets are mixed over fixed shares; above, one follows the spread seen."""


def units_lower(
    values: ArrayLike, floors: ArrayLike, alpha: float = 0.05, *, least: float = -math.inf
) -> float:
    """Return a betting lower bound on the common mean of units whose floors may differ.

    Like ``mean_lower``, where the least possible value of each unit is known before it is seen. The
    stake on many units follows the mean and spread of the units before (arXiv:2010.09686).

    Args:
        values: (m,) numbers, in the order in which they were seen.
        floors: (m,) proved lower limits of the values, each fixed by what was seen before it.
        alpha: error level.
        least: a mean that is known to be reached: a lower bound is not looked for.

    Returns:
        The least mean that the bets do not refute, and ``least`` or the least floor, whichever is
        larger, where they refute neither.
    """
    x, floor = np.asarray(values, np.float64), np.asarray(floors, np.float64)
    m, limit = len(x), math.log(1.0 / alpha)
    if m == 0:
        return least
    bets = _fixed_bets if m <= FEW else _following_bets(x, alpha)
    least, most = max(least, float(floor.min())), float(x.mean())
    # Every factor 1 + λ(x − μ) falls as μ grows: the means that are not refuted are an interval.
    if bets(x, floor, least + 1e-12) < limit or most <= least:
        return least
    high = most if bets(x, floor, most) < limit else float(x.max())
    return _last_above(lambda mean: bets(x, floor, mean) - limit, least, high)


PRECISION = 45
"""A bound is found to the width of its bracket / 2^45, as by as many halvings."""


def _last_above(excess: Callable[[float], float], low: float, high: float) -> float:
    """Return a point, at most a hair below the crossing, where ``excess`` is still at least 0.

    ITP (Oliveira and Takahashi 2020, doi:10.1145/3423597): as few steps as the secant where the
    function is smooth, never more than one above bisection. A wealth is asked 10 times, not 45.

    Args:
        excess: at least 0 at ``low``, and below 0 at ``high`` or never between the two.
        low, high: the bracket.
    """
    width = high - low
    if width <= 0.0:
        return low
    tolerance, slack = math.ldexp(width, -PRECISION), math.ldexp(width, 1)
    at_low, at_high = excess(low), excess(high)
    while high - low > tolerance:
        slack /= 2.0
        middle = (low + high) / 2.0
        guess = middle
        if math.isfinite(at_low) and math.isfinite(at_high) and at_low > at_high:
            secant = low + (high - low) * at_low / (at_low - at_high)
            towards = math.copysign(1.0, middle - secant)
            step = max(0.2 * (high - low) ** 2 / width, tolerance / 2.0)
            step = min(step, abs(middle - secant))
            reach = max(0.0, slack - (high - low) / 2.0)
            guess = min(max(secant + towards * step, middle - reach), middle + reach)
        if not low < guess < high:
            guess = middle
            if not low < guess < high:
                break
        value = excess(guess)
        if value >= 0.0:
            low, at_low = guess, value
        else:
            high, at_high = guess, value
    return low


def _fixed_bets(x: NDArray[Any], floor: NDArray[Any], mean: float) -> float:
    """Largest log wealth of bets at fixed shares of the largest allowed stake, mixed."""
    shares = (x - mean) / np.maximum(mean - floor, 1e-12)
    with np.errstate(divide="ignore"):
        paths = np.cumsum(np.log1p(np.maximum(np.outer(BETS, shares), -1.0)), 1)
    if len(x) == 1:
        return float(paths[-1, -1])  # nothing to hedge: Markov's inequality, all on one bet
    top = paths.max(0)
    top = np.where(np.isfinite(top), top, 0.0)
    return float((top + np.log(PRIOR @ np.exp(paths - top))).max())


def _following_bets(x: NDArray[Any], alpha: float) -> Callable[..., float]:
    """Bets whose stake follows the spread of the units before: their largest log wealth."""
    t = np.arange(1, len(x) + 1)
    mean = np.cumsum(x) / t
    # One unit of variance counts as seen before the first: a cautious start.
    spread = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], spread[:-1]])
    stake = np.sqrt(2.0 * math.log(1.0 / alpha) / (len(x) * before))

    def wealth(x: NDArray[Any], floor: NDArray[Any], mean: float) -> float:
        stakes = np.minimum(stake, 0.75 / np.maximum(mean - floor, 1e-12))
        return float(np.cumsum(np.log1p(stakes * (x - mean))).max())

    return wealth


def mean_interval(x: ArrayLike, alpha: float = 0.05) -> tuple[float, float]:
    """Return two-sided betting bounds on the mean of units in 0..1, together at ``alpha``."""
    x = np.asarray(x, np.float64)
    return mean_lower(x, alpha / 2), 1.0 - mean_lower(1.0 - x, alpha / 2)


class Overrun(ValueError):
    """A charge that is negative or not a number."""


@dataclass(slots=True)
class Odometer:
    """Leakage in min-capacity bits: the sum of all charges, even when queries adapt to answers.

    ``limit`` makes it a filter: a query that would exceed the limit is refused before it is
    answered. Then a secret that could be guessed with chance p is guessed with chance at most
    2^limit · p.

    Attributes:
        limit: bits, or infinity to count only.
        spent: bits so far.
    """

    limit: float = math.inf
    spent: float = 0.0

    def charge(self, bits: float) -> bool:
        """Book an answer of at most ``bits`` before it is given; False (and no charge) if refused.

        Raises:
            Overrun: the charge is negative or not a number.
        """
        if not bits >= 0.0:
            raise Overrun(f"a charge must be 0 bits or more, got {bits!r}")
        if self.spent + bits > self.limit:
            return False
        self.spent += bits
        return True

    @property
    def left(self) -> float:
        """Bits that may still be answered."""
        return self.limit - self.spent


def filter_limit(secret_bits: float, residual_bits: float) -> float:
    """Return the limit that leaves a guesser of a uniform secret at most a 2^−residual chance."""
    return max(0.0, secret_bits - residual_bits)
