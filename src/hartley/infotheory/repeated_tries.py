"""How success grows when a prompt may be tried N times: the beta-binomial law and its forecast.

Prompts differ: where each has a rate of its own, Beta(α, β) distributed, the share that some of N
tries answer is ``decisions.best_of_n``, and its failures fall as a power of N with slope −α
(arXiv:2502.17578). One rate for all prompts would let them fall exponentially, far too fast.

A forecast of another N integrates over what is not known of α and β (a grid; the log odds of the
mean and the correlation of two tries of a prompt, 1/(1 + α + β), are uniform beforehand), and over
the tries themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError
from hartley.infotheory.decisions import best_of_n

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

MEANS = (-11.0, 6.0)
"""Log odds of the mean rate on the grid: least and largest."""

SPREADS = (-4.0, 9.0)
"""Log of the concentration α + β on the grid, likewise."""

POINTS, LOOKS = 40, 3
"""Points of an axis of the grid, and how often it is laid again over where the weight is."""

NEGLIGIBLE = 1e-6
"""Posterior weight of a point of the grid below which it is left out."""


def success_at(successes: ArrayLike, tries: int, n: int) -> float:
    """Share of prompts that some of n tries answer: the unbiased estimate (arXiv:2107.03374).

    Args:
        successes: (q,) answered tries of each prompt.
        tries: of each prompt.
        n: 1 to ``tries``.

    Raises:
        UsageError: counts or n are out of range.
    """
    from scipy.special import gammaln

    c = _counts(successes, tries)
    if not 1 <= n <= tries:
        raise UsageError(f"n must be from 1 to {tries}, got {n}")
    failed = tries - c
    # C(failed, n)/C(tries, n), 0 where fewer than n have failed.
    enough = failed >= n
    left = np.where(enough, failed - n, 0)
    logs = gammaln(failed + 1) - gammaln(left + 1) + gammaln(tries - n + 1) - gammaln(tries + 1)
    return float(1 - np.where(enough, np.exp(logs), 0.0).mean())


@dataclass(frozen=True, slots=True)
class Forecast:
    """The share of prompts that some of N tries will answer.

    Attributes:
        value: expected share.
        low, high: ends of the predictive interval.
        n: prompts.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True, slots=True, eq=False)
class RateLaw:
    """What counts of answered tries say about the rates of prompts.

    Attributes:
        alpha, beta: (g,) points of the grid; one rate for all is a Beta of infinite concentration.
        weight: (g,) their posterior.
        successes: (q,) counts.
        tries: of each prompt.
        uniform: whether all prompts have one rate, which is then ``alpha``/(``alpha`` + ``beta``).
    """

    alpha: Floats
    beta: Floats
    weight: Floats
    successes: NDArray[np.int64]
    tries: int
    uniform: bool = False

    def share(self, n: int) -> float:
        """Expected share of new prompts that some of n tries answer."""
        if self.uniform:
            rate = self.alpha / (self.alpha + self.beta)
            return float(self.weight @ -np.expm1(n * np.log1p(-rate)))
        at = [best_of_n(a, b, n) for a, b in zip(self.alpha, self.beta, strict=True)]
        return float(self.weight @ np.array(at))

    def forecast(
        self, n: int, *, fresh: int = 0, alpha: float = 0.05, rng: np.random.Generator
    ) -> Forecast:
        """Predict the share that some of n further tries answer, with its interval.

        Args:
            n: tries that were not counted.
            fresh: new prompts of the same kind; 0 predicts for the very prompts that were counted,
                each by its own count.
            alpha: chance that the share is outside of the interval.
            rng: draws the 20,000 futures that the interval is read from.
        """
        draws = rng.choice(len(self.weight), 20_000, p=self.weight)
        prompts = fresh or len(self.successes)
        kinds, of = (
            (np.zeros(1, np.int64), np.full(1, prompts))
            if fresh
            else np.unique(self.successes, return_counts=True)
        )
        before = 0 if fresh else self.tries
        broken = np.zeros(len(draws))
        for count, many in zip(kinds, of, strict=True):
            chance = np.clip(self._chance(int(count), before, n), 0.0, 1.0)
            broken += rng.binomial(int(many), chance[draws])
        shares = broken / prompts
        low, high = np.quantile(shares, [alpha / 2, 1 - alpha / 2], method="inverted_cdf")
        return Forecast(float(shares.mean()), float(low), float(high), prompts)

    def _chance(self, count: int, before: int, n: int) -> Floats:
        """(g,) that some of n tries answer a prompt of which ``count`` of ``before`` did."""
        from scipy.special import betaln

        if self.uniform:
            rate = self.alpha / (self.alpha + self.beta)
            return np.asarray(-np.expm1(n * np.log1p(-rate)))
        a, b = self.alpha + count, self.beta + before - count
        return np.asarray(-np.expm1(betaln(a, b + n) - betaln(a, b)))


def rate_law(successes: ArrayLike, tries: int, *, uniform: bool = False) -> RateLaw:
    """Fit the law of rates to counts of answered tries.

    Args:
        successes: (q,) answered tries of each prompt.
        tries: of each prompt.
        uniform: one rate for all prompts, for comparison.

    Raises:
        UsageError: counts are out of range.
    """
    from scipy.special import betaln

    c = _counts(successes, tries)
    kinds, of = np.unique(c, return_counts=True)
    means, spreads = MEANS, SPREADS
    for _ in range(LOOKS):
        odds = np.linspace(*means, POINTS)
        logs_of_s = np.zeros(1) if uniform else np.linspace(*spreads, POINTS)
        odds, logs_of_s = (axis.ravel() for axis in np.meshgrid(odds, logs_of_s, indexing="ij"))
        mean, size = 1 / (1 + np.exp(-odds)), np.exp(logs_of_s)
        alpha, beta = mean * size, (1 - mean) * size
        if uniform:
            logs = c.sum() * np.log(mean) + (tries * len(c) - c.sum()) * np.log1p(-mean)
        else:
            at = betaln(kinds[:, None] + alpha, tries - kinds[:, None] + beta) - betaln(alpha, beta)
            # The correlation of two tries of a prompt, 1/(1 + s), is uniform beforehand.
            logs = of @ at + logs_of_s - 2 * np.log1p(size)
        weight = np.exp(logs - logs.max())
        use = weight > NEGLIGIBLE
        means, spreads = _around(odds, use, MEANS), _around(logs_of_s, use, SPREADS)
    weight = weight[use] / weight[use].sum()
    return RateLaw(alpha[use], beta[use], weight, c, tries, uniform)


def _around(
    axis: Floats, use: NDArray[np.bool_], whole: tuple[float, float]
) -> tuple[float, float]:
    """Return the ends of an axis around the points with weight, with one step to each side."""
    points = np.unique(axis)
    step = float(np.diff(points).mean()) if len(points) > 1 else 0.0
    low, high = float(axis[use].min()) - step, float(axis[use].max()) + step
    return max(whole[0], low), min(whole[1], high)


def _counts(successes: ArrayLike, tries: int) -> NDArray[np.int64]:
    c = np.asarray(successes)
    if c.ndim != 1 or not len(c) or c.dtype.kind not in "iu" or tries < 1:
        raise UsageError(
            f"successes must be whole numbers (q,) of at least 1 try, got {c.dtype} of shape "
            f"{c.shape} and {tries} tries"
        )
    if c.min() < 0 or c.max() > tries:
        odd = c.min() if c.min() < 0 else c.max()
        raise UsageError(f"successes must be from 0 to the {tries} tries, got {odd}")
    return c.astype(np.int64)
