"""Capacity of any discrete channel, with a certificate: C_lo ≤ C ≤ C_hi from one input law.

For every input law p with output law q = pW: I(p) = Σ p_x D_x ≤ C ≤ max_x D_x, D_x = D(W_x ‖ q)
(duality). The search needs no guarantee of its own: only the last D enters the certificate.

Blahut–Arimoto alone takes thousands of rounds to a gap of 1e-6 bit. Here a few over-relaxed rounds
come first, then primal–dual Newton steps (Mehrotra's predictor and corrector) finish in about
ten, on the active inputs: inputs without mass and with a small D_x are dropped, and put back if the
certificate over *all* inputs requires it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Kind, Quantity
from hartley.core.errors import RunError, UsageError
from hartley.infotheory.channel_matrix import LOG2E, as_channel, divergences

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from hartley.infotheory.channel_matrix import Floats

WARM = 48
"""Over-relaxed Blahut–Arimoto rounds before Newton."""
STEPS, ATTEMPTS, PATIENCE = 60, 8, 20_000


@dataclass(frozen=True, slots=True)
class Capacity:
    """A certified capacity.

    Attributes:
        lower, upper: bits per use (bits per unit of what is maximised, under a price); the true
            value lies between, rounding errors included.
        prior: (K,) input law that reaches ``lower``.
        divergence: (K,) D(W_x ‖ q) in bits at that law.
        rounds: Blahut–Arimoto rounds and Newton steps taken.
        cost: mean cost of the input law, under a cost constraint.
    """

    lower: float
    upper: float
    prior: Floats
    divergence: Floats
    rounds: int
    cost: float | None = None

    @property
    def value(self) -> float:
        """The middle of the certified interval."""
        return 0.5 * (self.lower + self.upper)

    @property
    def unused(self) -> int:
        """Number of inputs that the best law does not use: 0 mass, divergence below capacity."""
        gap = self.upper - self.lower
        return int(((self.prior < 1e-6) & (self.divergence < self.lower - 10 * gap)).sum())

    def quantity(self, name: str = "capacity") -> Quantity:
        """The interval as a ``theory`` quantity: the exact value of a fully known channel."""
        return Quantity(
            name=name,
            value=self.value,
            lower=self.lower,
            upper=self.upper,
            kind=Kind.THEORY,
            method=f"Blahut–Arimoto and Newton, duality gap {self.upper - self.lower:.1e} bit",
            assumptions=("known memoryless channel",),
        )


def capacity(w: ArrayLike, *, gap: float = 1e-6) -> Capacity:
    """Capacity of a (K, M) channel matrix in bits per use.

    Args:
        w: rows sum to 1.
        gap: largest width of the certified interval, in bits.

    Raises:
        UsageError: ``w`` is not a channel, or double precision cannot certify ``gap``.
        RunError: the search stopped before it reached ``gap``.
    """
    return solve(as_channel(w), gap)


def solve(a: Floats, gap: float, price: Floats | None = None) -> Capacity:
    """Maximise I(p) − price·p over input laws p, certified to ``gap`` bits.

    Args:
        a: (K, M) channel, already checked (``as_channel``).
        gap: largest width of the certified interval, in bits.
        price: (K,) bits charged for each use of an input, or None.

    Raises:
        UsageError: double precision cannot certify ``gap``.
        RunError: the search stopped before it reached ``gap``.
    """
    from scipy.special import xlogy

    a = np.ascontiguousarray(a[:, a.any(0)])
    fixed = xlogy(a, a).sum(1) - (0.0 if price is None else price / LOG2E)
    # A dot product of n terms errs by at most n·ε times the size of what it adds.
    blur = a.shape[1] * 2.3e-16 * (60.0 + float(np.abs(fixed).max()))
    if gap / LOG2E <= 8 * blur:
        raise UsageError(
            f"gap must be at least {8 * blur * LOG2E:.1e} bit in double precision, got {gap:g}"
        )
    p, rounds = _search(a, fixed, gap / LOG2E - 4 * blur)
    raw = divergences(a, p @ a)
    net = raw if price is None else raw - price
    used = p > 0
    lower = float(p[used] @ net[used]) - blur * LOG2E
    if price is None:
        lower = max(lower, 0.0)
    return Capacity(lower, float(net.max()) + blur * LOG2E, p, raw, rounds)


def _slopes(a: Floats, fixed: Floats, q: Floats) -> Floats:
    """D_x less the price of x, in nats. A column without mass counts as e^−800, not as 0."""
    with np.errstate(divide="ignore"):
        return np.asarray(fixed - a @ np.maximum(np.log(q), -800.0), dtype=np.float64)


def _search(a: Floats, fixed: Floats, goal: float) -> tuple[Floats, int]:
    """An input law whose duality gap is at most ``goal`` nats, and the rounds it took."""
    inputs = len(a)
    p, gap, rounds = _relaxed(a, fixed, goal, WARM)
    if gap <= goal:
        return p, rounds
    alive = p > 1e-3 / inputs
    active = np.nonzero(alive)[0] if alive.mean() < 0.7 else np.arange(inputs)
    for _ in range(ATTEMPTS):
        active, mass, steps = _newton(a, fixed, active, p[active], goal)
        rounds += steps
        p = np.zeros(inputs)
        p[active] = mass
        d = _slopes(a, fixed, p @ a)
        now = float(p @ d)
        if d.max() - now <= goal:
            return p, rounds
        wanted = np.nonzero(d > now)[0]
        active = np.union1d(active, wanted)
        p[wanted] += 1e-2 / inputs
        p /= p.sum()
    # With very different prices Newton may fail; the plain rounds always converge.
    p, gap, more = _relaxed(a, fixed, goal, PATIENCE)
    if gap <= goal:
        return p, rounds + more
    raise RunError(
        f"the capacity search stopped at a gap of {gap * LOG2E:.1e} bit, goal {goal * LOG2E:.1e} "
        "bit"
    )


def _relaxed(a: Floats, fixed: Floats, goal: float, most: int) -> tuple[Floats, float, int]:
    """Over-relaxed Blahut–Arimoto from the uniform law: (law, its gap in nats, rounds)."""
    p = np.full(len(a), 1.0 / len(a))
    best, push, gap = -np.inf, 1.0, np.inf
    for rounds in range(most):
        d = _slopes(a, fixed, p @ a)
        now = float(p @ d)
        gap = float(d.max()) - now
        if gap <= goal:
            return p, gap, rounds
        # Lengthen the step until it overshoots, then return to the plain step.
        push = min(push * 1.3, 8.0) if now >= best else 1.0
        best = max(best, now)
        p = p * np.exp(push * (d - d.max()))
        p /= p.sum()
    return p, gap, most


def _newton(
    whole: Floats, fixed: Floats, active: NDArray[np.intp], p: Floats, goal: float
) -> tuple[NDArray[np.intp], Floats, int]:
    """Run primal–dual Newton on the ``active`` inputs; return those left, their mass, the steps.

    Solves −D_x + λ − z_x = 0, p_x·z_x = 0, Σp = 1 with z the multipliers of p ≥ 0. The Hessian of
    −I is W·diag(1/q)·Wᵀ, so one step costs one symmetric product and one Cholesky factor.
    """
    from scipy.linalg import cho_factor, cho_solve

    a = whole[active]
    p = 0.9 * p / p.sum() + 0.1 / len(active)
    q = p @ a
    d = _slopes(a, fixed[active], q)
    level = float(d.max() + 0.1 * (d.max() - p @ d)) + goal
    z = level - d
    for step in range(STEPS):
        if d.max() - p @ d <= 0.9 * goal:
            return active, p, step
        root = a / np.sqrt(np.maximum(q, 1e-300))
        hessian = root @ root.T
        diagonal = np.einsum("ii->i", hessian)
        diagonal += z / p + 1e-13 * diagonal.max()
        factor = cho_factor(hessian, lower=True, overwrite_a=True, check_finite=False)
        ones = cho_solve(factor, np.ones(len(p)), check_finite=False)
        residual, mu = d - level + z, float(p @ z) / len(p)

        def towards(aim: Floats | float) -> tuple[Floats, float, Floats]:
            free = cho_solve(factor, residual + aim / p - z, check_finite=False)  # noqa: B023
            dl = float(free.sum() / ones.sum())  # noqa: B023
            dp = free - dl * ones  # noqa: B023
            return dp, dl, aim / p - z - z / p * dp  # noqa: B023

        dp, dl, dz = towards(0.0)
        ahead = float((p + _room(p, dp) * dp) @ (z + _room(z, dz) * dz)) / len(p)
        dp, dl, dz = towards((ahead / mu) ** 3 * mu - dp * dz)
        along, across = _room(p, dp), _room(z, dz)
        p = p + along * dp
        p /= p.sum()
        level, z = level + across * dl, z + across * dz
        dropped = (p < 1e-2 * z) & (p < 1e-3 / len(p))
        if dropped.mean() > 0.2:
            active, p, z = active[~dropped], p[~dropped] / p[~dropped].sum(), z[~dropped]
            a = whole[active]
        q = p @ a
        d = _slopes(a, fixed[active], q)
    return active, p, STEPS


def _room(x: Floats, dx: Floats) -> float:
    """Return the largest step of x along dx, at most 1, at which x stays positive."""
    falling = dx < 0
    return min(1.0, 0.99 * float((-x[falling] / dx[falling]).min())) if falling.any() else 1.0
