"""Exact I_F of laws, by numerical integration, and the draws that follow them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from coverage_rows import Rng
from scipy.optimize import isotonic_regression
from scipy.special import ndtr, stdtr, xlogy

Array = np.ndarray
LN2 = math.log(2.0)


def exact_bits(masses: Array, pieces: int = 1, turns: int = 400) -> float:
    """I_F of a score whose secret-0 and secret-1 laws have these masses, (2, cells) ascending.

    Isotonic regression of the exact posterior, with weights of both laws; two pieces: the largest
    over turning points between cells.
    """
    zero, one = masses / masses.sum(1, keepdims=True) / 2
    weight = zero + one
    keep = weight > 0
    zero, one, weight = zero[keep], one[keep], weight[keep]
    rate = one / weight

    def fit(part: slice, up: bool) -> float:
        f = isotonic_regression(rate[part], weights=weight[part], increasing=up).x
        # A posterior that rounds to 1 would cost infinitely much of what is all but impossible.
        f = np.clip(f, 1e-15, 1.0 - 1e-15)
        return float((xlogy(one[part], 2 * f) + xlogy(zero[part], 2 * (1 - f))).sum()) / LN2

    whole = slice(None)
    best = max(fit(whole, True), fit(whole, False))
    if pieces == 1:
        return best
    for turn in np.unique(np.linspace(1, len(rate) - 1, turns).astype(int)).tolist():
        for up in (True, False):
            best = max(best, fit(slice(None, turn), up) + fit(slice(turn, None), not up))
    return best


GRID = np.linspace(-14.0, 14.0, 8001)


def cells(cdf: Callable[[Array], Array], grid: Array = GRID) -> Array:
    """Masses of the cells between grid points, with the tails."""
    return np.diff(np.concatenate([[0.0], cdf(grid), [1.0]]))


@dataclass(frozen=True)
class ScoreLaw:
    """Scores given a secret bit.

    Attributes:
        name: in words.
        draw: (rng, secrets) → scores.
        masses: (2, cells) of secret 0 and 1, by ascending score.
        pieces: of the readers.
    """

    name: str
    draw: Callable[[Rng, Array], Array]
    masses: Array
    pieces: int = 1

    @property
    def truth(self) -> float:
        return max(0.0, exact_bits(self.masses, self.pieces))


def shift(distance: float) -> ScoreLaw:
    masses = np.stack([cells(ndtr), cells(lambda x: ndtr(x - distance))])
    return ScoreLaw(
        f"shift {distance:g}", lambda rng, s: rng.normal(size=len(s)) + distance * s, masses
    )


def spread(pieces: int) -> ScoreLaw:
    masses = np.stack([cells(ndtr), cells(lambda x: ndtr(x / 2))])
    return ScoreLaw(
        f"N(0,1) v N(0,2), k={pieces}",
        lambda rng, s: rng.normal(size=len(s)) * (1 + s),
        masses,
        pieces,
    )


def heavy(pieces: int = 1) -> ScoreLaw:
    grid = np.concatenate([-np.geomspace(1e4, 12, 400), np.linspace(-11.99, 12, 6000)])
    grid = np.concatenate([grid, np.geomspace(12.01, 1e4, 400)])
    masses = np.stack(
        [cells(lambda x: stdtr(2, x), grid), cells(lambda x: stdtr(2, x - 1.5), grid)]
    )
    return ScoreLaw(
        f"t₂ shift 1.5, k={pieces}",
        lambda rng, s: rng.standard_t(2, len(s)) + 1.5 * s,
        masses,
        pieces,
    )


def both_tails(pieces: int) -> ScoreLaw:
    def draw(rng: Rng, s: Array) -> Array:
        centre = np.where(rng.random(len(s)) < 0.6, -2.0, 2.5)
        return rng.normal(size=len(s)) + np.where(s == 1, centre, 0.0)

    masses = np.stack([cells(ndtr), cells(lambda x: 0.6 * ndtr(x + 2) + 0.4 * ndtr(x - 2.5))])
    return ScoreLaw(f"U-shape, k={pieces}", draw, masses, pieces)


def rare(share: float = 0.05) -> ScoreLaw:
    def draw(rng: Rng, s: Array) -> Array:
        return rng.normal(size=len(s)) + 4.0 * (rng.random(len(s)) < share) * s

    masses = np.stack([cells(ndtr), cells(lambda x: (1 - share) * ndtr(x) + share * ndtr(x - 4))])
    return ScoreLaw(f"rare leak {share:.0%}", draw, masses)


def ties() -> ScoreLaw:
    edges = np.arange(-13.75, 14.0, 0.5)
    masses = np.stack([cells(ndtr, edges), cells(lambda x: ndtr(x - 1), edges)])
    return ScoreLaw(
        "shift 1, ties at ½",
        lambda rng, s: np.round(2 * (rng.normal(size=len(s)) + s)) / 2,
        masses,
    )


def discrete(zero: tuple[float, ...], one: tuple[float, ...], name: str) -> ScoreLaw:
    laws = np.array([zero, one])

    def draw(rng: Rng, s: Array) -> Array:
        u = rng.random(len(s))[:, None]
        return (u > laws.cumsum(1)[s]).sum(1).astype(float)

    return ScoreLaw(name, draw, laws)


@dataclass(frozen=True)
class Clusters:
    """Clusters whose scores shift together.

    Attributes:
        name: in words.
        sizes: (rng) → (m,) uses of each cluster.
        distance: sizes → (m,) shift of secret 1 in each.
        icc: share of the noise's variance between clusters.
        balanced: as many ones as zeros in each, else coins.
        truth: marginal I_F, each cluster counting once.
    """

    name: str
    sizes: Callable[[Rng], Array]
    distance: Callable[[Array], Array]
    icc: float
    balanced: bool
    truth: float

    def draw(self, rng: Rng) -> tuple[Array, Array, Array]:
        """Secrets, scores and clusters."""
        sizes = self.sizes(rng)
        m = len(sizes)
        cluster = np.repeat(np.arange(m), sizes)
        n = len(cluster)
        secret = rng.integers(0, 2, n)
        if self.balanced:
            secret = np.concatenate([rng.permutation(np.arange(k) % 2) for k in sizes])
        level = rng.normal(size=m) * math.sqrt(self.icc / (1.0 - self.icc))
        far = self.distance(sizes)[cluster]
        return secret, rng.normal(size=n) + far * secret + level[cluster], cluster


def alike(m: int, size: int, icc: float, balanced: bool, distance: float = 1.0) -> Clusters:
    tau2 = icc / (1.0 - icc)
    return Clusters(
        f"m={m} × {size}, ICC {icc:g}, {'balanced' if balanced else 'coins'}"
        + (f", shift {distance:g}" if distance != 1.0 else ""),
        lambda _: np.full(m, size),
        lambda sizes: np.full(len(sizes), distance),
        icc,
        balanced,
        shift(distance / math.sqrt(1.0 + tau2)).truth,
    )


def unequal(
    m: int, small_leak: bool, balanced: bool, share: float = 0.5, distance: float = 2.0
) -> Clusters:
    """Clusters of 10 or 1,000 uses, of which only one size leaks."""

    def sizes(rng: Rng) -> Array:
        return np.where(rng.random(m) < share, 10, 1000)

    def far(size: Array) -> Array:
        return distance * ((size == 10) == small_leak)

    weight = share if small_leak else 1 - share
    one = weight * cells(lambda x: ndtr(x - distance)) + (1 - weight) * cells(ndtr)
    return Clusters(
        f"m={m}, {'10' if small_leak else '1000'} leak ({weight:.0%}), "
        f"{'1000' if small_leak else '10'} do not, {'balanced' if balanced else 'coins'}",
        sizes,
        far,
        0.0,
        balanced,
        exact_bits(np.stack([cells(ndtr), one])),
    )
