"""E4: how unlikely a success is by chance, and the leak that this certifies.

If an event E of (secret, observation) has probability at most p for every fixed observation when
the secret is redrawn, then under a channel of min-capacity L it has probability at most
2^L·p. So a p-value that small certifies L ≥ −log2 p − log2(1/alpha), whatever the dependence, in
one single run, and against adaptive attackers. Tails here are exact down to log2 p = −10⁶ and
beyond. It bounds L (maximal leakage), not Shannon information.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Kind, Quantity

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

LN2 = math.log(2.0)
SAFE = 1e-280
"""Above this a tail is computed as a plain number; below it only its logarithm exists."""


def log2_binomial_tail(k: int, n: int, p: float) -> float:
    """Return log2 P(Bin(n, p) ≥ k).

    Args:
        k: successes.
        n: trials.
        p: chance of one success, in 0..1.

    Raises:
        ValueError: not 0 ≤ k ≤ n, or p outside 0..1.
    """
    if not (0 <= k <= n and 0.0 <= p <= 1.0):
        raise ValueError(
            f"a binomial tail must have 0 ≤ k ≤ n and 0 ≤ p ≤ 1, got k={k}, n={n}, p={p}"
        )
    if k == 0 or p == 1.0:
        return 0.0
    if p == 0.0:
        return -math.inf
    from scipy.special import bdtr, betainc

    tail = float(betainc(k, n - k + 1, p))
    if tail > 0.5:
        return math.log1p(-float(bdtr(k - 1, n, p))) / LN2
    if tail > SAFE:
        return math.log2(tail)
    # Far out the terms fall geometrically: the first term, times the sum of the ratios.
    return (_log_binomial(k, n, p) + math.log(_ratios(k, n, p))) / LN2


def _ratios(k: int, n: int, p: float) -> float:
    odds = p / (1.0 - p)
    total, term, taken = 1.0, 1.0, 0
    while taken < n - k:
        i = np.arange(k + taken, min(n, k + taken + 4096), dtype=np.float64)
        terms = term * np.cumprod((n - i) / (i + 1.0) * odds)
        total += float(terms.sum())
        term, taken = float(terms[-1]), taken + len(i)
        if term < 1e-18 * total:
            break
    return total


def _log_binomial(k: int, n: int, p: float) -> float:
    """Natural log of P(Bin(n, p) = k) by Loader's saddle point, exact for large n."""
    if k == n:
        return n * math.log(p)
    q = 1.0 - p
    deviance = k * math.log(k / (n * p)) + (n - k) * math.log((n - k) / (n * q))
    shape = _stirling(n) - _stirling(k) - _stirling(n - k)
    return shape - deviance + 0.5 * math.log(n / (2 * math.pi * k * (n - k)))


def _stirling(n: float) -> float:
    """Natural log of n! less Stirling's formula for it."""
    if n < 32:
        return math.lgamma(n + 1.0) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2 * math.pi)
    m = 1.0 / (n * n)
    return (1 / 12 - m * (1 / 360 - m * (1 / 1260 - m * (1 / 1680 - m / 1188)))) / n


def log2_rank_tail(rank: int, candidates: int) -> float:
    """Return log2 of the chance that a random secret ranks so high among ``candidates``.

    Raises:
        ValueError: not 1 ≤ rank ≤ candidates.
    """
    if not 1 <= rank <= candidates:
        raise ValueError(f"rank must be in 1..{candidates}, got {rank}")
    return math.log2(rank) - math.log2(candidates)


def log2_gamma_tail(n: int, s: float) -> float:
    """Return log2 P(Gamma(n, 1) ≥ s), the tail of a sum of n unit exponentials.

    Raises:
        ValueError: n < 1 or s is negative or not a number.
    """
    if n < 1 or not s >= 0.0:
        raise ValueError(f"a Gamma tail must have n ≥ 1 and s ≥ 0, got n={n}, s={s}")
    from scipy.special import gammainc, gammaincc

    tail = float(gammaincc(n, s))
    if tail > 0.5:
        return math.log1p(-float(gammainc(n, s))) / LN2
    if tail > SAFE:
        return math.log2(tail)
    if math.isinf(s):
        return -math.inf
    # e^−s Σ_{k<n} s^k/k!: terms fall from the last, k = n − 1, since s is far above n.
    total, term, taken = 1.0, 1.0, 0
    while taken < n - 1:
        k = np.arange(n - 1 - taken, max(0, n - 1 - taken - 4096), -1, dtype=np.float64)
        terms = term * np.cumprod(k / s)
        total += float(terms.sum())
        term, taken = float(terms[-1]), taken + len(k)
        if term < 1e-18 * total:
            break
    m = n - 1
    last = m * math.log(s / m) - (s - m) - 0.5 * math.log(2 * math.pi * m) if m else -s
    return (last - (_stirling(m) if m else 0.0) + math.log(total)) / LN2


def exposure(rank: ArrayLike, candidates: float) -> NDArray[np.float64]:
    """Return log2 R − log2 rank, elementwise (arXiv:1802.08232), in bits."""
    return np.asarray(math.log2(candidates) - np.log2(np.asarray(rank, dtype=np.float64)))


def expected_exposure(candidates: int) -> float:
    """Return the mean exposure of a rank that is uniform on 1..R: log2 R − log2(R!)/R."""
    return math.log2(candidates) - math.lgamma(candidates + 1.0) / LN2 / candidates


def log2_exposure_tail(ranks: ArrayLike, candidates: int) -> float:
    """Return log2 of the chance of exposures so high in sum, for independent planted secrets.

    A uniform rank on 1..R has ln(R/rank) stochastically below a unit exponential, hence the sum of
    n of them lies below Gamma(n, 1).
    """
    ranks = np.asarray(ranks, dtype=np.float64)
    if len(ranks) == 1:
        return log2_rank_tail(int(ranks[0]), candidates)
    return log2_gamma_tail(len(ranks), float(np.log(candidates / ranks).sum()))


def certificate(
    log2_p: float, alpha: float = 0.05, *, uses: int = 1, method: str = "surprisal"
) -> Quantity:
    """Return the certified min-capacity (maximal leakage), in bits per use.

    Args:
        log2_p: log2 of a p-value valid for every fixed observation.
        alpha: error level.
        uses: planted secrets; the total is divided by them.
        method: which tail gave the p-value.
    """
    total = max(0.0, -log2_p)
    quantity = Quantity(
        name="min-capacity",
        value=total / uses,
        unit="bit/use",
        kind=Kind.CERTIFIED,
        alpha=alpha,
        n=uses,
        method=method,
        assumptions=("secrets drawn by the auditor, independent of everything the attacker saw",),
    )
    return replace(quantity, lower=certified_at(quantity, alpha))


def certified_at(quantity: Quantity, alpha: float) -> float:
    """Return what a ``certificate`` certifies at another error level, in bits per use."""
    return max(0.0, quantity.value - math.log2(1.0 / alpha) / quantity.n)
