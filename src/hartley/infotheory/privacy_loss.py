"""Bits about one record's coin that noisy gradients can carry, from the privacy loss itself.

(ε, δ) is one point of a privacy curve, and the bound on bits through that point pays for the worst
release that passes it. The whole curve of the subsampled Gaussian gives the bits of its own pair.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_CELLS = 2**19
"""Most cells of the grid of losses; fewer cells only raise the bound."""
_TILTS = 2.0 ** np.arange(-2.0, 10.5, 0.5)
"""Exponents of the Chernoff bound on the mass outside the grid."""
_OUTSIDE = 1e-12
"""Mass of the summed loss that may lie outside the grid; it is charged at its worst."""
_FARTHEST = 300.0
"""Largest loss that doubles can weigh; a release beyond it is as good as the record itself."""
_ROUNDING = 2e-15
"""Round-off of the Fourier transform, per step and cell of a law of mass 1; it is added."""


@cache
def subsampled_gaussian_mi(noise: float, rate: float, steps: int) -> float:
    """Return an upper bound on the bits of DP-SGD about whether one record was in the training.

    A fair coin decides whether the record is there. Each step includes the record with probability
    ``rate`` and adds N(0, noise²) to a sum to which a record contributes norm 1 at most, so the
    step is a post-processing of one draw from (1 − rate)·N(0, noise²) + rate·N(1, noise²) if the
    record is there and of N(0, noise²) if not. All steps, adaptive as they are, are a
    post-processing of ``steps`` such draws (the other records' fate is independent of the coin),
    and by data processing the bits about the coin are at most those of the draws.

    The bits of the draws are found from the law of log(P/Q) on a grid. Whatever lies between two
    points of the grid is split over both so that neither P nor Q changes its mass: the split pair
    becomes the exact one by merging, hence it has more bits. Masses outside the grid and round-off
    are charged at their worst, so every rounding raises the result.

    Args:
        noise: standard deviation of the noise over the norm of one record, above 0.
        rate: probability that the record is in the batch of a step, above 0 and at most 1.
        steps: number of steps, 1 or more.

    Returns:
        bits, 0..1.

    Raises:
        UsageError: an argument is out of range.
    """
    if not (noise > 0.0 and 0.0 < rate <= 1.0 and steps >= 1):
        raise UsageError(
            "noise must be above 0, rate in 0..1 and steps at least 1, got "
            f"{noise!r}, {rate!r}, {steps!r}"
        )
    far = 0.5 / noise**2 + 9.0 / noise
    if far > _FARTHEST:
        return 1.0
    coarse = np.linspace(-far, far, 2**14, endpoint=False)
    present, absent, _ = _step(coarse, noise, rate)
    moments = _log_moments(present, coarse), _log_moments(absent, coarse)
    reach = max(1.0, far)
    while max(_outside(each, steps, reach) for each in moments) > _OUTSIDE:
        reach *= 1.25
    if reach > _FARTHEST:
        return 1.0
    spread = math.sqrt(float(absent @ coarse**2))
    half = min(_CELLS // 2, 2 ** math.ceil(math.log2(150.0 * reach / max(spread, 1e-6))))
    loss = np.arange(-half, half) * (reach / half)
    present, absent, lost = _step(loss, noise, rate)
    outside = sum(_outside(_log_moments(law, loss), steps, reach) for law in (present, absent))
    # log2 of 2P/(P + Q) under P and of 2Q/(P + Q) under Q.
    bits = 0.5 * sum(
        float(_summed(law, steps) @ (1.0 - np.logaddexp(0.0, sign * loss) / math.log(2.0)))
        for law, sign in ((present, -1.0), (absent, 1.0))
    )
    # Where only one law has mass, the coin is known: 1 bit of the half that this law is.
    bits += 0.5 * sum(-math.expm1(steps * math.log1p(-mass)) for mass in lost)
    worst = 2.0 + reach / math.log(2.0)
    return min(1.0, bits + worst * (outside + _ROUNDING * steps * math.sqrt(2 * half)))


def _step(loss: Array, noise: float, rate: float) -> tuple[Array, Array, tuple[float, float]]:
    """Return one step's law of the loss with and without the record, and the mass of one law alone.

    Args:
        loss: (cells,) evenly spaced losses.
        noise: as above.
        rate: as above.
    """
    above = np.expm1(loss) + rate  # the loss is never below log(1 − rate)
    edge = np.full(len(loss), -math.inf)
    edge[above > 0.0] = noise * np.log(above[above > 0.0] / rate) + 0.5 / noise
    q, other = _between(edge), _between(edge - 1.0 / noise)
    p = (1.0 - rate) * q + rate * other
    ratio = np.exp(loss)
    absent = np.zeros(len(loss))
    # Between two points P and Q keep their masses: the Q that moves up carries the P above ratio·Q.
    rise = np.expm1(loss[1] - loss[0])
    up = np.clip((p[1:-1] / ratio[:-1] - q[1:-1]) / rise, 0.0, q[1:-1])
    absent[1:] += up
    absent[:-1] += q[1:-1] - up
    # Below the grid P stays at its first point, above it Q at its last; one law has the rest alone.
    absent[0] += min(float(q[0]), float(p[0] / ratio[0]))
    absent[-1] += float(q[-1])
    present = absent * ratio
    return present, absent, (_rest(present), _rest(absent))


def _rest(law: Array) -> float:
    return max(0.0, 1.0 - float(law.sum()))


def _between(edge: Array) -> Array:
    """Return the standard normal masses below, between and above increasing edges."""
    from scipy.special import ndtr

    low, high = np.concatenate([[-math.inf], edge]), np.concatenate([edge, [math.inf]])
    # In the upper half from the upper tail, where differences of the lower one would cancel.
    masses: Array = np.where(low > 0.0, ndtr(-low) - ndtr(-high), ndtr(high) - ndtr(low))
    return masses


def _summed(law: Array, steps: int) -> Array:
    """Return the law of the sum of ``steps`` independent losses, wrapped around the grid."""
    each = np.fft.rfft(np.fft.ifftshift(law))
    total: Array = np.fft.fftshift(np.fft.irfft(each**steps, len(law)))
    return total


def _log_moments(law: Array, loss: Array) -> Array:
    """Return log E[e^(t·loss)] and log E[e^(−t·loss)], (2, tilts)."""
    positive = law > 0.0
    weight, at = np.log(law[positive]), loss[positive]
    return np.array(
        [[np.logaddexp.reduce(weight + sign * t * at) for t in _TILTS] for sign in (1.0, -1.0)]
    )


def _outside(moments: Array, steps: int, reach: float) -> float:
    """Return a bound on the mass of a summed loss beyond ±reach (Chernoff)."""
    return float(np.exp(np.minimum(0.0, steps * moments - _TILTS * reach)).min(1).sum())
