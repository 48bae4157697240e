"""Numbers for decisions: choice of a defense, queries needed, best-of-N."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError
from hartley.infotheory.channel_matrix import as_channel, repeated
from hartley.infotheory.gaussian import LOG2E, h2
from hartley.infotheory.leakage import posterior_vulnerability

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Choice:
    """The defender's best answer to all attacks.

    Attributes:
        pure: leak of the best single defense, if it meets the utility floor.
        defense: its index.
        value: leak of the best mixture that the attacker knows but whose draw they do not see.
        mixture: (defenses,) its probabilities.
    """

    pure: float
    defense: int
    value: float
    mixture: Floats

    @property
    def price_of_determinism(self) -> float:
        """The extra leak of using a single defense, in the unit of the leaks."""
        return self.pure - self.value


def minimax(
    leaks: ArrayLike, utility: ArrayLike | None = None, floor: ArrayLike = -math.inf
) -> Choice:
    """Least worst-case leak over single defenses and over mixtures (a linear programme, HiGHS).

    Args:
        leaks: (attacks, defenses) of one kind and unit, attacks adapted to each defense included.
        utility: (defenses,) utility of each, or (utilities, defenses) of several kinds; a
            mixture's is the mean.
        floor: utility that must be kept, one for each kind.

    Raises:
        UsageError: shapes do not match, a leak is missing, or nothing meets the floor.
    """
    from scipy.optimize import linprog

    m = np.asarray(leaks, dtype=np.float64)
    if m.ndim != 2 or 0 in m.shape:
        raise UsageError(f"leaks must have shape (attacks, defenses), got shape {m.shape}")
    if missing := np.argwhere(~np.isfinite(m)).tolist():
        raise UsageError(
            f"leaks must be finite numbers, got {len(missing)} of {m.size} without one, the first "
            f"in row {missing[0][0]}, column {missing[0][1]}: a missing cell is not a leak of 0"
        )
    attacks, defenses = m.shape
    u = np.zeros((0, defenses)) if utility is None else np.atleast_2d(np.asarray(utility, float))
    if u.shape[1] != defenses or not np.isfinite(u).all():
        raise UsageError(
            f"utility must have shape ({defenses},) and finite values, got shape {u.shape[1:]}"
        )
    floors = np.broadcast_to(np.asarray(floor, dtype=np.float64), (len(u),))
    allowed = np.nonzero((u >= floors[:, None]).all(0))[0]
    if not len(allowed):
        raise UsageError(
            f"floor must be at most the best utility, {', '.join(f'{x:g}' for x in u.max(1))}"
            f"{' of one defense' if len(u) > 1 else ''}, got "
            f"{', '.join(f'{x:g}' for x in floors)}"
        )
    worst = m.max(0)
    best = int(allowed[worst[allowed].argmin()])
    binding = np.isfinite(floors)
    rows = np.vstack(
        [
            np.column_stack([m, -np.ones(attacks)]),
            np.column_stack([-u[binding], np.zeros(binding.sum())]),
        ]
    )
    limits = np.concatenate([np.zeros(attacks), -floors[binding]])
    solution = linprog(
        [*np.zeros(defenses), 1.0],
        A_ub=rows,
        b_ub=limits,
        A_eq=[[*np.ones(defenses), 0.0]],
        b_eq=[1.0],
        bounds=[(0.0, 1.0)] * defenses + [(None, None)],
        method="highs",
    )
    if solution.status != 0:
        raise UsageError(f"the linear programme has no solution: {solution.message}")
    mixture = np.maximum(solution.x[:-1], 0.0)
    mixture /= mixture.sum()
    return Choice(float(worst[best]), best, float((m @ mixture).max()), mixture)


def best_of_n(alpha: float, beta: float, n: int) -> float:
    """Chance that one of n tries works when the prompts' own rates are Beta(α, β) distributed.

    1 − B(α, β + n)/B(α, β). One rate for all prompts would give 1 − (1 − mean)^n, far above it:
    0.774 against 0.418 at Beta(0.3, 20), n = 100.
    """
    if not (alpha > 0 and beta > 0) or n < 0:
        raise UsageError(
            f"alpha and beta must be above 0 and n 0 or more, got {alpha!r}, {beta!r}, {n}"
        )
    up = math.lgamma(beta + n) + math.lgamma(alpha + beta)
    down = math.lgamma(alpha + beta + n) + math.lgamma(beta)
    return -math.expm1(up - down)


def failure_slope(alpha: float, beta: float, n: float) -> float:
    """Slope of ln(failure) against ln(tries) at n tries: the power law of best-of-N.

    n·(ψ(β + n) − ψ(α + β + n)), which tends to −α as n grows.
    """
    from scipy.special import digamma

    x, y = beta + n, alpha + beta + n
    if x < 1e3:
        return float(n * (digamma(x) - digamma(y)))
    # The two digammas would cancel: their difference by the asymptotic series, to 1e-14.
    apart = alpha / (x * y)
    return n * (math.log1p(-alpha / y) - 0.5 * apart - apart * (x + y) / (12 * x * y))


def pass_at_k(n: int, right: int, k: int) -> float:
    """Unbiased estimate of the chance that one of k tries works, from ``right`` of n that did.

    1 − C(n − c, k)/C(n, k); plugging c/n into 1 − (1 − p)^k is biased low.

    Raises:
        UsageError: more successes or tries than n.
    """
    if not 0 <= right <= n or not 0 <= k <= n:
        raise UsageError(f"right and k must be in 0..{n}, got {right} and {k}")
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def selection_bits(n: int) -> float:
    """Most bits by which best-of-n shifts a law: log2 n − (n − 1)/n·log2 e (arXiv:2401.01879)."""
    if n < 1:
        raise UsageError(f"n must be 1 or more, got {n}")
    return math.log2(n) - (n - 1) / n * LOG2E


def fano_queries(entropy: float, capacity: float, error: float, alphabet: int) -> float:
    """Least queries to name one of K secrets: (H(S) − h2(ε) − ε·log2(K − 1))/C, adaptive or not.

    Args:
        entropy: H(S) in bits.
        capacity: bits per query, above 0.
        error: allowed chance to be wrong.
        alphabet: K ≥ 2.
    """
    if not capacity > 0 or alphabet < 2:
        raise UsageError(
            f"capacity must be above 0 and alphabet 2 or more, got {capacity!r}, {alphabet}"
        )
    rest = error * math.log2(alphabet - 1) if alphabet > 2 else 0.0
    return max(0.0, (entropy - h2(error) - rest) / capacity)


def bretagnolle_huber_queries(divergence: float, error: float) -> float:
    """Least looks to distinguish two laws: ln(1/4ε)/KL (Bretagnolle–Huber).

    Args:
        divergence: KL of one look, in *bits*.
        error: allowed chance to be wrong under either law.
    """
    if not divergence > 0 or not 0 < error < 1:
        raise UsageError(
            f"divergence must be above 0 and error strictly between 0 and 1, got {divergence!r}, "
            f"{error!r}"
        )
    return max(0.0, math.log(1.0 / (4.0 * error)) / (divergence / LOG2E))


def claimed_queries(information: float, error: float) -> float:
    """The bound log2(1/ε)/I of arXiv:2510.17000, Theorem 1: **wrong**, kept as a counter-example.

    At BSC(0.1) and ε = 0.01 it claims 12.5 queries where 5 suffice.
    """
    return math.log2(1.0 / error) / information


def error_after(w: ArrayLike, looks: int) -> float:
    """Error of the best guess of a uniform secret after independent looks at a channel."""
    a = as_channel(w)
    return 1.0 - posterior_vulnerability(np.full(len(a), 1.0 / len(a)), repeated(a, looks))


def queries_that_suffice(w: ArrayLike, error: float, limit: int = 1000) -> int:
    """The least number of independent looks after which the best guess errs at most ``error``.

    Raises:
        UsageError: not reached within ``limit`` looks.
    """
    for looks in range(1, limit + 1):
        if error_after(w, looks) <= error:
            return looks
    raise UsageError(f"limit must be larger to reach an error of {error:g}, got {limit} looks")


def unicity_distance(key: float, alphabet: int, language: float) -> float:
    """Ciphertext symbols after which one key fits: H(K)/(log2 |A| − H_language) (Shannon 1949).

    Args:
        key: key entropy in bits.
        alphabet: symbols of the plaintext alphabet.
        language: entropy of the plaintext, bits per symbol.

    Returns:
        Symbols; +inf for a plaintext without redundancy.
    """
    redundancy = math.log2(alphabet) - language
    return key / redundancy if redundancy > 0 else math.inf


def permutation_entropy(items: int) -> float:
    """log2 n!: the key of a substitution or of a shuffle, in bits."""
    return math.lgamma(items + 1) / math.log(2.0)
