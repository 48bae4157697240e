"""Quantitative information flow: how much an attacker with a given aim gains (E6).

Min-entropy quantities are not Shannon bits: every name here says which it is.
A gain table g has one row per guess and one column per secret; the identity is Bayes vulnerability.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Kind, Quantity
from hartley.core.errors import UsageError
from hartley.infotheory.channel_matrix import as_channel, as_prior

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hartley.infotheory.channel_matrix import Floats


def vulnerability(prior: ArrayLike, gain: ArrayLike | None = None) -> float:
    """Expected gain of the best guess before any output.

    Args:
        prior: (K,) law of the secret.
        gain: (guesses, K) gains in 0..1; None means exact guessing (Bayes vulnerability).
    """
    p = as_prior(prior, np.size(np.asarray(prior)))
    return float((_gain(gain, len(p)) @ p).max())


def posterior_vulnerability(prior: ArrayLike, w: ArrayLike, gain: ArrayLike | None = None) -> float:
    """Expected gain of the best guess after the output: Σ_o max_g Σ_s g(g, s)·π(s)·P(o|s)."""
    joint = _joint(prior, w)
    return float((_gain(gain, len(joint)) @ joint).max(0).sum())


def multiplicative_leakage(prior: ArrayLike, w: ArrayLike, gain: ArrayLike | None = None) -> float:
    """log2 of posterior over prior vulnerability, in (min-entropy or g-leakage) bits."""
    before = vulnerability(prior, gain)
    if before <= 0:
        raise UsageError(f"the prior vulnerability must be above 0, got {before:g}")
    return math.log2(posterior_vulnerability(prior, w, gain) / before)


def additive_leakage(prior: ArrayLike, w: ArrayLike, gain: ArrayLike | None = None) -> float:
    """Posterior less prior vulnerability: how much more often (or better) the guess succeeds."""
    return posterior_vulnerability(prior, w, gain) - vulnerability(prior, gain)


def tries(prior: ArrayLike, k: int, w: ArrayLike | None = None) -> float:
    """Chance that the secret is among the k best guesses, before (``w`` None) or after the output.

    Raises:
        UsageError: fewer than one try.
    """
    if k < 1:
        raise UsageError(f"k must be 1 try or more, got {k}")
    joint = _ranked(prior, w)
    return float(joint[:k].sum())


def guessing_entropy(prior: ArrayLike, w: ArrayLike | None = None) -> float:
    """Mean number of guesses in the best order until the secret is hit, before or after."""
    joint = _ranked(prior, w)
    return float(np.arange(1, len(joint) + 1) @ joint.sum(1))


def work_factor(prior: ArrayLike, w: ArrayLike | None = None, chance: float = 0.5) -> float:
    """log2 of the guesses needed to succeed with ``chance`` (the median by default)."""
    reached = np.cumsum(_ranked(prior, w).sum(1))
    return math.log2(1 + int(np.searchsorted(reached, chance - 1e-12)))


def leakage_per_cost(
    prior: ArrayLike, w: ArrayLike, cost: float, gain: ArrayLike | None = None
) -> float:
    """Multiplicative leakage bits per unit of the cost of one use of the channel."""
    if not cost > 0:
        raise UsageError(f"cost must be above 0, got {cost!r}")
    return multiplicative_leakage(prior, w, gain) / cost


def held_out_vulnerability(
    gains: ArrayLike, prior_vulnerability: float, *, alpha: float = 0.05
) -> Quantity:
    """Certified lower bound on leakage from the gains of a *fixed* attacker on fresh secrets.

    The attacker's mean gain is at most the posterior vulnerability, so its betting lower bound
    certifies the latter; divided by the prior vulnerability it certifies the leakage. Every tuned
    part of the attack must have been tuned on other trials.

    Args:
        gains: (n,) gains in 0..1, one a trial, independent.
        prior_vulnerability: best gain without the output, from the declared prior, above 0.
        alpha: error level.

    Returns:
        Min-entropy (g-)leakage in bits: ``value`` plug-in, ``lower`` certified.
    """
    if not 0.0 < prior_vulnerability <= 1.0:
        raise UsageError(
            f"the prior vulnerability must be above 0 and at most 1, got {prior_vulnerability!r}"
        )
    x = _gains(gains)
    low = betting_lower(x, alpha=alpha)
    mean = float(x.mean()) if len(x) else 0.0
    return Quantity(
        name="g-leakage (min-entropy bits)",
        value=max(0.0, math.log2(max(mean, 1e-300) / prior_vulnerability)),
        lower=max(0.0, math.log2(max(low, 1e-300) / prior_vulnerability)),
        kind=Kind.CERTIFIED,
        alpha=alpha,
        n=len(x),
        clusters=len(x),
        method="held-out gain, betting lower bound (arXiv:2010.09686)",
        assumptions=("independent trials", "attacker fixed before these trials"),
    )


def betting_lower(gains: ArrayLike, *, alpha: float = 0.05) -> float:
    """Return a (1 − alpha) lower confidence bound on the mean of bounded gains, by betting.

    Against "the mean is m" a bettor stakes λ_t(m) = min(λ_t, ½/m) on gains above m; the capital
    Π(1 + λ_t(m)(x_t − m)) is a test martingale, so it ever passes 1/α with probability at most α
    (Ville). Every factor falls as m grows, so the means that are *not* refuted are an interval, and
    bisection finds its lower end. λ_t is the predictable plug-in of arXiv:2010.09686.

    Args:
        gains: (n,) in 0..1, in the order of the trials.
        alpha: error level, strictly between 0 and 1.
    """
    x = _gains(gains)
    n = len(x)
    if not 0.0 < alpha < 1.0:
        raise UsageError(f"alpha must be strictly between 0 and 1, got {alpha!r}")
    if not n or not x.any():
        return 0.0
    t = np.arange(1, n + 1)
    mean = (0.5 + np.cumsum(x)) / (t + 1)
    spread = (0.25 + np.cumsum((x - mean) ** 2)) / (t + 1)
    before = np.concatenate([[0.25], spread[:-1]])
    stake = np.sqrt(2.0 * math.log(1.0 / alpha) / (n * before))
    limit = math.log(1.0 / alpha)

    def refuted(m: float) -> bool:
        wealth = np.cumsum(np.log1p(np.minimum(stake, 0.5 / m) * (x - m)))
        return float(wealth.max()) >= limit

    low, high = 0.0, float(x.mean())
    for _ in range(50):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if refuted(middle) else (low, middle)
    return low


def _gains(gains: ArrayLike) -> Floats:
    x = np.asarray(gains, dtype=np.float64)
    if x.ndim != 1 or not np.isfinite(x).all() or (x < 0).any() or (x > 1).any():
        raise UsageError(f"gains must be a 1-D array of numbers in 0..1, got shape {x.shape}")
    return x


def _gain(gain: ArrayLike | None, secrets: int) -> Floats:
    if gain is None:
        return np.eye(secrets)
    g = np.asarray(gain, dtype=np.float64)
    if g.ndim != 2 or g.shape[1] != secrets or not np.isfinite(g).all():
        raise UsageError(
            f"a gain table must be finite with shape (guesses, {secrets}), got {g.shape}"
        )
    return g


def _joint(prior: ArrayLike, w: ArrayLike) -> Floats:
    a = as_channel(w)
    return np.asarray(as_prior(prior, len(a))[:, None] * a)


def _ranked(prior: ArrayLike, w: ArrayLike | None) -> Floats:
    """Return joint masses (K, M), each output's secrets from the likeliest down."""
    if w is None:
        p = as_prior(prior, np.size(np.asarray(prior)))
        return np.asarray(np.sort(p)[::-1, None])
    return np.asarray(np.sort(_joint(prior, w), axis=0)[::-1])
