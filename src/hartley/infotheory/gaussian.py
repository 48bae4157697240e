"""Noise laws with known answers: Gaussian, BPSK, parallel Gaussian, uniform, Laplace, coin flips.

Everything here is a formula for a fully known channel, so its numbers are of kind *theory*. One
use is one real number. Shannon–Hartley counts in hertz, and B Hz carry 2B real uses a second; the
factor 2 is written out wherever the two meet.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

LOG2E = math.log2(math.e)
USES_PER_HERTZ = 2.0
"""Real uses per second that one hertz of bandwidth carries (Nyquist)."""
_NORMAL = NormalDist()


def phi(x: float) -> float:
    """Standard normal distribution function, accurate in the lower tail too."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def phi_inverse(p: float) -> float:
    """Standard normal quantile; −inf at 0 and +inf at 1."""
    if p <= 0.0:
        return -math.inf
    return math.inf if p >= 1.0 else _NORMAL.inv_cdf(p)


def h2(p: float) -> float:
    """Binary entropy in bits.

    Raises:
        UsageError: ``p`` is not a probability.
    """
    if not 0.0 <= p <= 1.0:
        raise UsageError(f"a probability must be in 0..1, got {p!r}")
    return 0.0 if p in (0.0, 1.0) else -p * math.log2(p) - (1 - p) * math.log1p(-p) * LOG2E


def from_db(decibel: float) -> float:
    """Power ratio from decibels."""
    return float(10.0 ** (decibel / 10.0))


def gaussian_capacity(snr: float) -> float:
    """Capacity of the real Gaussian channel, ½·log2(1 + S/N), in bits per use.

    Raises:
        UsageError: a negative or non-finite ratio.
    """
    return 0.5 * math.log1p(_ratio(snr)) * LOG2E


def snr_equivalent(bits: float) -> float:
    """Signal-to-noise ratio of the Gaussian channel that carries ``bits`` per use: 4^bits − 1.

    A transform of the bits, not a measurement of a signal.

    Raises:
        UsageError: negative or non-finite bits.
    """
    return math.expm1(2.0 * _ratio(bits, "bits per use") / LOG2E)


def shannon_hartley(hertz: float, snr: float) -> float:
    """B·log2(1 + S/N) in bits per second: 2B real uses a second, ½·log2(1 + S/N) bits each."""
    return USES_PER_HERTZ * _ratio(hertz, "a bandwidth") * gaussian_capacity(snr)


def hertz(uses_per_second: float) -> float:
    """Bandwidth B in hertz of ``uses_per_second`` real uses: half as many."""
    return uses_per_second / USES_PER_HERTZ


def bpsk_capacity(snr: float) -> float:
    """Bits per use of a fair bit sent as ±A in unit Gaussian noise, A² = ``snr``.

    With d′ = 2A it is also the information in an equal-variance Gaussian score, and the exact
    mutual information of a fair bit under μ-GDP with μ = d′.

    The trapezoidal rule converges geometrically on this analytic integrand: its poles lie π/2A off
    the real axis, so the step below errs by less than exp(−π²/(A·step)), under 1e-15 wherever the
    weight at the poles is not itself below 1e-15.
    """
    a = math.sqrt(_ratio(snr))
    if a > 20.0:
        return 1.0
    z = np.arange(-12.0, 12.0, 1 / 64)
    weight = np.exp(-0.5 * z * z) / (64 * math.sqrt(2 * math.pi))
    lost = float(weight @ np.logaddexp(0.0, -2.0 * a * (a + z))) * LOG2E
    return min(1.0, max(0.0, 1.0 - lost))


def bpsk_hard_error(snr: float) -> float:
    """Bit error of the sign decision on BPSK, Φ(−A): the crossover of the hard channel."""
    return phi(-math.sqrt(_ratio(snr)))


@dataclass(frozen=True, slots=True)
class Waters:
    """Water-filling over parallel Gaussian channels.

    Attributes:
        capacity: bits per use of the whole bundle.
        level: the water level, in the units of the noise variances.
        power: (n,) power given to each channel.
    """

    capacity: float
    level: float
    power: NDArray[np.float64]

    @property
    def active(self) -> int:
        """How many channels get any power."""
        return int((self.power > 0).sum())


def water_fill(noise: ArrayLike, power: float) -> Waters:
    """Share ``power`` over parallel channels of the given noise variances, exactly.

    Args:
        noise: (n,) positive variances.
        power: total signal power, 0 or more.

    Raises:
        UsageError: a variance is not positive, there are 0 channels, or power is negative.
    """
    n = np.asarray(noise, dtype=np.float64)
    if n.ndim != 1 or not len(n) or not (np.isfinite(n).all() and (n > 0).all()):
        raise UsageError(
            f"noise must be a 1-D array of positive finite variances, got shape {n.shape}"
        )
    _ratio(power, "power")
    floor = np.sort(n)
    levels = (power + np.cumsum(floor)) / np.arange(1, len(n) + 1)
    # The level of the largest prefix whose members are all below the level.
    level = float(levels[np.nonzero(levels >= floor)[0][-1]])
    share = np.maximum(level - n, 0.0)
    return Waters(float(0.5 * np.log2(1.0 + share / n).sum()), level, share)


def gaussian_mi(cov: ArrayLike, dx: int) -> float:
    """Mutual information of the first ``dx`` and the other coordinates of a Gaussian, in bits.

    Args:
        cov: (d, d) covariance of the joint vector.
        dx: how many leading coordinates belong to X, 0 < dx < d.

    Raises:
        UsageError: ``cov`` is not a positive definite matrix, or one block is empty.
    """
    c = np.asarray(cov, dtype=np.float64)
    if c.ndim != 2 or c.shape[0] != c.shape[1] or not 0 < dx < c.shape[0]:
        raise UsageError(
            f"a joint covariance must be square with 0 < dx < d, got {c.shape}, dx={dx}"
        )
    signs, logs = zip(*(np.linalg.slogdet(m) for m in (c[:dx, :dx], c[dx:, dx:], c)), strict=True)
    if min(signs) <= 0 or not np.allclose(c, c.T) or np.linalg.eigvalsh(c)[0] <= 0:
        raise UsageError("a joint covariance must be symmetric and positive definite")
    return max(0.0, float(0.5 * (logs[0] + logs[1] - logs[2]) * LOG2E))


def canonical_correlations(cov: ArrayLike, dx: int) -> NDArray[np.float64]:
    """Canonical correlations of the two blocks, largest first (see ``gaussian_mi``)."""
    gaussian_mi(cov, dx)
    c = np.asarray(cov, dtype=np.float64)
    lx, ly = np.linalg.cholesky(c[:dx, :dx]), np.linalg.cholesky(c[dx:, dx:])
    cross = np.linalg.solve(ly, np.linalg.solve(lx, c[:dx, dx:]).T)
    return np.asarray(np.linalg.svd(cross, compute_uv=False), dtype=np.float64)


def gaussian_rate(variance: ArrayLike, distortion: ArrayLike) -> float:
    """Bits that any reconstruction with these mean squared errors must carry about the source.

    R_S(D) = Σ ½·log2(σ_i²/D_i) over the coordinates with D_i < σ_i². It bounds I(S; Ŝ) from below
    only for a *planted* Gaussian source.

    Args:
        variance: (d,) variances of the planted independent Gaussian coordinates.
        distortion: (d,) mean squared errors reached.
    """
    v, d = np.broadcast_arrays(
        np.asarray(variance, dtype=np.float64), np.asarray(distortion, dtype=np.float64)
    )
    if not ((v > 0).all() and (d > 0).all()):
        raise UsageError("variances and distortions must be positive, got values of 0 or less")
    return float(0.5 * np.log2(np.maximum(v / d, 1.0)).sum())


def uniform_noise(half_width: float, inputs: Sequence[float] = (0.0, 1.0)) -> dict[str, float]:
    """A fair bit sent as one of two levels in uniform noise: ``mi`` (bits) and ``advantage``.

    Where the supports overlap the output is uninformative, elsewhere it reveals the bit.
    """
    if _ratio(half_width, "a half width") == 0.0:
        return {"mi": 1.0, "advantage": 1.0}
    apart = min(1.0, abs(inputs[1] - inputs[0]) / (2.0 * half_width))
    return {"mi": apart, "advantage": apart}


def laplace_noise(scale: float, sensitivity: float = 1.0) -> dict[str, float]:
    """The Laplace mechanism on a fair bit, in closed form.

    Returns:
        ``epsilon`` (nats), ``mi`` (bits at the fair prior), ``advantage``, ``auc``.
    """
    if not (scale > 0 and math.isfinite(scale)):
        raise UsageError(f"a Laplace scale must be positive and finite, got {scale!r}")
    e = _ratio(sensitivity, "a sensitivity") / scale
    a = math.exp(-e)
    root = math.exp(-e / 2)

    def inner(t: float) -> float:  # ∫ ln(1 + a/t²) dt
        return t * math.log1p(a / (t * t)) + 2 * root * math.atan(t / root)

    # Left of both centres the log-likelihood ratio is ε, right of both −ε, in between ε − 2u.
    if a < 1e-200:
        mi = 1.0
    else:
        lost = 0.5 * math.log1p(a) + 0.5 * a * (e + math.log1p(a)) + 0.5 * (inner(1.0) - inner(a))
        mi = max(0.0, 1.0 - lost * LOG2E)
    return {
        "epsilon": e,
        "mi": mi,
        "advantage": -math.expm1(-e / 2),
        "auc": 1.0 - a * (0.5 + e / 4),
    }


def randomised_response(epsilon: float, alphabet: int = 2) -> NDArray[np.float64]:
    """The (K, K) channel matrix of K-ary randomised response: truth with e^ε / (e^ε + K − 1)."""
    if alphabet < 1:
        raise UsageError(f"alphabet must have at least 1 symbol, got {alphabet}")
    other = math.exp(-_ratio(epsilon, "epsilon"))
    rows: NDArray[Any] = np.full((alphabet, alphabet), other)
    np.fill_diagonal(rows, 1.0)
    return rows / (1.0 + (alphabet - 1) * other)


def gaussian_scores(d_prime: float) -> dict[str, float]:
    """What an equal-variance Gaussian score of separation d′ gives; also exact for μ-GDP at μ = d′.

    Returns:
        ``auc``, ``advantage``, ``tpr_at_fpr_1e2``, ``tpr_at_fpr_1e3``, ``snr`` = d′²/4, ``mi``
        (bits at the fair prior) and ``chernoff`` (bits).
    """
    _ratio(d_prime, "d′")
    return {
        "auc": phi(d_prime / math.sqrt(2.0)),
        "advantage": 2.0 * phi(d_prime / 2.0) - 1.0,
        "tpr_at_fpr_1e2": phi(d_prime + phi_inverse(1e-2)),
        "tpr_at_fpr_1e3": phi(d_prime + phi_inverse(1e-3)),
        "snr": d_prime**2 / 4.0,
        "mi": bpsk_capacity(d_prime**2 / 4.0),
        "chernoff": d_prime**2 / 8.0 * LOG2E,
    }


def _ratio(value: float, what: str = "a signal-to-noise ratio") -> float:
    if not (math.isfinite(value) and value >= 0.0):
        raise UsageError(f"{what} must be finite and 0 or more, got {value!r}")
    return value
