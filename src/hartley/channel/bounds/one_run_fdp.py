"""μ from one single training run: the one-run audit of a Gaussian trade-off (arXiv:2410.22235).

Where the (ε, δ) audit of ``one_run_dp`` asks which ε explains the right guesses, this one asks
which member of a family of trade-off functions does. The answer is larger, and it is about this
family alone: it holds for a mechanism that is μ-GDP for some μ, such as Gaussian noise.
"""

from __future__ import annotations

import math
from statistics import NormalDist

from hartley.infotheory.differential_privacy import epsilon_of_mu

FAMILY = "a Gaussian trade-off family"
"""What every bound of this module assumes about the release."""

_NORMAL = NormalDist()
_TOLERANCE = 1e-9
"""By how much a tail must exceed 1: more than the round-off of the recursion."""


def refuted(canaries: int, guesses: int, correct: int, mu: float, alpha: float = 0.05) -> bool:
    """Whether "the release is μ-GDP" is refuted at ``alpha`` by ``correct`` right guesses.

    Let T_i be the probability of at least i right guesses, c' the number of guesses, m that of the
    canaries. A canary that is guessed right with i others right is, with its coin turned, guessed
    wrong with i others right; so μ-GDP and the concavity of the trade-off give
    P(a random canary is guessed wrong, i right at least) ≥ Φ(Φ⁻¹(R_{i+1}) − μ), where
    R_i = P(a random canary is guessed right, i right at least) = (i·T_i + Σ_{j>i} T_j)/m. The left
    side is ((c' − i)·T_i − Σ_{j>i} T_j)/m. Both sides grow with the later tails, hence from
    T_correct ≥ alpha each earlier tail is at least what this recursion says; when one exceeds 1,
    P(at least ``correct`` right) < alpha for every attacker.

    Args:
        canaries: m, records whose membership the auditor drew with a fair coin each.
        guesses: c' ≤ m, a number that depends on no coin; on the others the attacker abstains.
        correct: guesses that were right.
        mu: of the Gaussian trade-off, 0 or more.
        alpha: error level, above 0 and below 1.

    Raises:
        ValueError: not 0 ≤ correct ≤ guesses ≤ canaries.
    """
    if not 0 <= correct <= guesses <= canaries:
        raise ValueError(
            f"counts must be 0 ≤ correct ≤ guesses ≤ canaries, got {correct}, {guesses}, {canaries}"
        )
    tail, later = alpha, 0.0  # T_i and the sum of the tails after i
    inverse, root, limit = _NORMAL.inv_cdf, math.sqrt(0.5), 1.0 + _TOLERANCE
    for i in range(correct - 1, -1, -1):
        right = ((i + 1) * tail + later) / canaries
        if right >= 1.0:
            return True
        later += tail
        wrong = 0.5 * math.erfc(root * (mu - inverse(right)))
        earlier = (canaries * wrong + later) / (guesses - i)
        if earlier > limit:
            return True
        if earlier <= tail:
            return False  # T_i = T_{i+1} leaves R_i = R_{i+1}, so that no tail grows any more
        tail = earlier
    return False


def mu_lower(canaries: int, guesses: int, correct: int, alpha: float = 0.05) -> float:
    """Return the largest μ that is refuted at ``alpha``, or 0: a lower bound on μ.

    It assumes a Gaussian trade-off family: the release is μ-GDP for a μ, and its bound says which
    μ are too small.

    Args:
        canaries: records whose membership the auditor drew with a fair coin each.
        guesses: records the attacker did not abstain on.
        correct: guesses that were right.
        alpha: error level.

    Raises:
        ValueError: not 0 ≤ correct ≤ guesses ≤ canaries.
    """
    if not refuted(canaries, guesses, correct, 0.0, alpha):
        return 0.0
    low, high = 0.0, 1.0
    while refuted(canaries, guesses, correct, high, alpha):
        low, high = high, 2.0 * high
        if high > 64.0:  # beyond this no double tells the two errors of a rule from 0
            return low
    while high - low > 1e-6 * high:
        middle = (low + high) / 2
        if refuted(canaries, guesses, correct, middle, alpha):
            low = middle
        else:
            high = middle
    return low


def epsilon_lower(
    canaries: int, guesses: int, correct: int, alpha: float = 0.05, delta: float = 1e-5
) -> float:
    """Return a lower bound on ε (nats) at δ, assuming a Gaussian trade-off family.

    Raises:
        ValueError: the counts are impossible.
        UsageError: δ is 0, where ε of every μ > 0 is infinite.
    """
    return epsilon_of_mu(mu_lower(canaries, guesses, correct, alpha), delta)
