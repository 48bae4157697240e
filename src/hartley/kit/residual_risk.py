"""Success rates of privacy attacks and the risk beyond a control group (arXiv:2211.10459).

These are the figures of anonymeter, beside the bits: the rate of successes among n attacks, with
Wilson's interval (doi:10.1080/01621459.1927.10502953), and how much of the margin above the control
group's rate it gains. The error of the risk is propagated by the first derivative: it is an
approximation, and no certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from hartley.core.errors import UsageError
from hartley.infotheory.gaussian import phi_inverse


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate with the half-width of its interval; a risk may be below 0 before it is cut."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The two ends, within 0..1."""
        low, high = self.value - self.error, self.value + self.error
        return min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)

    @property
    def cut(self) -> float:
        """The value within 0..1."""
        return min(max(self.value, 0.0), 1.0)


def success_rate(successes: float, attacks: int, level: float = 0.95) -> Rate:
    """Return the centre of Wilson's interval and its half-width.

    Args:
        successes: 0 or more; not whole where a count was rescaled.
        attacks: n, at least 1.
        level: of the interval, in 0..1.

    Raises:
        UsageError: there are no attacks, or the level is not in 0..1.
    """
    if attacks < 1:
        raise UsageError(f"attacks must be at least 1 for a rate, got {attacks}")
    if not 0.0 < level < 1.0:
        raise UsageError(f"the level must be between 0 and 1, got {level}")
    z = phi_inverse(0.5 * (1.0 + level))
    spread = successes * (attacks - successes) / attacks
    below = attacks + z * z
    return Rate(
        (successes + 0.5 * z * z) / below, z / below * sqrt(max(0.0, spread + 0.25 * z * z))
    )


def residual_risk(attack: Rate, control: Rate) -> Rate:
    """Return (attack − control) / (1 − control): what is gained beyond the control group's rate."""
    margin = 1.0 - control.value
    value = (attack.value - control.value) / margin
    slope = (attack.value - 1.0) / margin**2
    return Rate(value, sqrt((attack.error / margin) ** 2 + (slope * control.error) ** 2))
