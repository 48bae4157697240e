"""Conversions between forms of differential privacy: (ε, δ), μ-GDP, ρ-zCDP, trade-offs."""

from __future__ import annotations

import math
from collections.abc import Callable

from hartley.core.errors import UsageError
from hartley.infotheory.gaussian import phi, phi_inverse


def dp_advantage(epsilon: float, delta: float = 0.0) -> float:
    """Largest TPR − FPR under (ε, δ)-DP: (e^ε − 1 + 2δ)/(e^ε + 1)."""
    check_dp(epsilon, delta)
    return min(1.0, math.tanh(epsilon / 2.0) + 2.0 * delta / (math.exp(min(epsilon, 700.0)) + 1.0))


def dp_tpr(fpr: float, epsilon: float, delta: float = 0.0) -> float:
    """Largest true-positive rate at ``fpr`` under (ε, δ)-DP, from its trade-off function."""
    check_dp(epsilon, delta)
    e = math.exp(min(epsilon, 700.0))
    return min(1.0, delta + e * fpr, 1.0 - max(0.0, (1.0 - delta - fpr) / e))


def gdp_tpr(fpr: float, mu: float) -> float:
    """Largest true-positive rate at ``fpr`` under μ-GDP."""
    return phi(not_negative(mu, "mu") + phi_inverse(fpr))


def delta_of_mu(mu: float, epsilon: float) -> float:
    """δ(ε) of μ-GDP: Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ)."""
    if not_negative(mu, "mu") == 0.0:
        return 0.0
    tail = phi(-mu / 2.0 - epsilon / mu)
    return max(
        0.0, phi(mu / 2.0 - epsilon / mu) - (math.exp(epsilon + math.log(tail)) if tail else 0)
    )


def delta_of_laplace(epsilon: float, at: float) -> float:
    """δ(ε′) of the Laplace mechanism that is ε-DP: 1 − e^((ε′ − ε)/2) for ε′ < ε, else 0."""
    check_dp(epsilon, 0.0)
    return max(0.0, -math.expm1((at - epsilon) / 2.0))


def epsilon_of_mu(mu: float, delta: float) -> float:
    """The smallest ε for which μ-GDP gives (ε, δ)-DP; 0 when δ(0) is already small enough.

    Raises:
        UsageError: δ is 0 while μ is not (no finite ε) or out of range.
    """
    check_dp(0.0, delta)
    if not_negative(mu, "mu") == 0.0 or delta_of_mu(mu, 0.0) <= delta:
        return 0.0
    if delta == 0.0:
        raise UsageError("δ must be above 0 for μ-GDP, got δ = 0, where ε is infinite")
    # The privacy loss is N(μ²/2, μ²), so this upper end is past the δ quantile.
    return _bisect(
        lambda e: delta - delta_of_mu(mu, e), mu * mu / 2 + mu * (1 - phi_inverse(delta))
    )


def mu_of_epsilon(epsilon: float, delta: float) -> float:
    """The μ whose μ-GDP curve passes through (ε, δ): turns an audited ε into an audited μ.

    A mechanism that is *not* (ε, δ)-DP is not μ′-GDP for any μ′ below this, so a certified lower
    bound on ε gives a certified lower bound on μ. At δ = 0 and ε > 0 every μ > 0 fails, so 0.
    """
    check_dp(epsilon, delta)
    if delta == 0.0:
        return 0.0
    if delta == 1.0:
        return math.inf
    return _bisect(lambda m: delta_of_mu(m, epsilon) - delta, 2.0 * math.sqrt(epsilon) + 2e3)


def epsilon_of_rho(rho: float, delta: float) -> float:
    """ε at δ of ρ-zCDP, ρ + 2·√(ρ·ln(1/δ))."""
    if not 0.0 < delta <= 1.0:
        raise UsageError(f"δ must be above 0 and at most 1 for a zCDP conversion, got {delta!r}")
    return not_negative(rho, "rho") + 2.0 * math.sqrt(rho * math.log(1.0 / delta))


def check_dp(epsilon: float, delta: float) -> None:
    """Check the parameters of a DP guarantee.

    Raises:
        UsageError: ε is negative or NaN, or δ is outside 0..1.
    """
    not_negative(epsilon, "epsilon")
    if not 0.0 <= delta <= 1.0:
        raise UsageError(f"δ must be in 0..1, got {delta!r}")


def not_negative(value: float, what: str) -> float:
    """Return ``value``, or raise UsageError when it is negative or NaN."""
    if not value >= 0.0:
        raise UsageError(f"{what} must be 0 or more, got {value!r}")
    return value


def _bisect(rising: Callable[[float], float], high: float) -> float:
    """Root in 0..high of a rising function, to the last bit."""
    low = 0.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return high
