"""ε from one single training run: guesses against the auditor's coins (arXiv:2305.08846)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def p_value(canaries: int, guesses: int, correct: int, epsilon: float, delta: float = 0.0) -> float:
    """Return the p-value of "the release is (ε, δ)-DP" after ``correct`` right guesses.

    Args:
        canaries: m, records whose membership the auditor drew with a fair coin.
        guesses: r ≤ m, records the attacker did not abstain on.
        correct: v ≤ r, guesses that were right.
        epsilon: in nats.
        delta: in 0..1.

    Raises:
        ValueError: not 0 ≤ correct ≤ guesses ≤ canaries.
    """
    if not 0 <= correct <= guesses <= canaries:
        raise ValueError(
            f"counts must be 0 ≤ correct ≤ guesses ≤ canaries, got {correct}, {guesses}, {canaries}"
        )
    if correct == 0:
        return 1.0
    from scipy.special import betainc

    right = 1.0 / (1.0 + math.exp(-epsilon))
    beta = float(betainc(correct, guesses - correct + 1, right))
    if delta == 0.0:
        return beta
    # P(correct − i ≤ Bin < correct) / i, at its worst i: summed from the nearest number down.
    k, ways = _ways(guesses, correct)
    mass = np.exp(ways - k * math.log1p(math.exp(-epsilon)) - (guesses - k) * _softplus(epsilon))
    inside = np.cumsum(mass) / np.arange(1, correct + 1)
    return float(min(1.0, beta + 2.0 * canaries * delta * float(inside.max())))


def _softplus(x: float) -> float:
    """log(1 + eˣ)."""
    return x + math.log1p(math.exp(-x))


@lru_cache(maxsize=8)
def _ways(guesses: int, correct: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numbers of right guesses, correct − 1 down to 0, and the logarithms of guesses over each."""
    from scipy.special import gammaln

    k = np.arange(correct - 1, -1, -1, dtype=np.float64)
    return k, gammaln(guesses + 1) - gammaln(k + 1) - gammaln(guesses - k + 1)


def epsilon_lower(
    canaries: int, guesses: int, correct: int, alpha: float = 0.05, delta: float = 0.0
) -> float:
    """Return the largest ε (nats) that the p-value test rejects at ``alpha``; 0 if none."""
    if p_value(canaries, guesses, correct, 0.0, delta) > alpha:
        return 0.0
    low, high = 0.0, 1.0
    while p_value(canaries, guesses, correct, high, delta) <= alpha:
        low, high = high, 2.0 * high
        if high > 700.0:
            return low
    for _ in range(60):
        middle = (low + high) / 2
        if p_value(canaries, guesses, correct, middle, delta) <= alpha:
            low = middle
        else:
            high = middle
    return low
