"""Channels with closed-form capacity, and the bits they carry in few uses."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError
from hartley.infotheory.channel_matrix import as_channel, as_prior
from hartley.infotheory.gaussian import h2, phi_inverse

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hartley.infotheory.channel_matrix import Floats


def bsc(p: float) -> Floats:
    """Binary symmetric channel: each bit flips with probability ``p``."""
    return binary(1.0 - _rate(p), p)


def z_channel(p: float) -> Floats:
    """Z channel: input 0 arrives intact, input 1 falls to 0 with probability ``p``."""
    return binary(1.0 - _rate(p), 0.0)


def binary(tpr: float, fpr: float) -> Floats:
    """Any binary channel: P(1 | 1) = ``tpr``, P(1 | 0) = ``fpr``."""
    a, b = _rate(tpr), _rate(fpr)
    return np.array([[1.0 - b, b], [1.0 - a, a]])


def erasure(alphabet: int, lost: float) -> Floats:
    """K-ary erasure channel; the last output is the erasure."""
    e = _rate(lost)
    return np.column_stack([(1.0 - e) * np.eye(_size(alphabet)), np.full(alphabet, e)])


def symmetric(alphabet: int, accuracy: float) -> Floats:
    """K-ary symmetric channel: right with ``accuracy``, else uniform over the other symbols."""
    k, a = _size(alphabet), _rate(accuracy)
    if k == 1:
        return np.ones((1, 1))
    w = np.full((k, k), (1.0 - a) / (k - 1))
    np.fill_diagonal(w, a)
    return w


def typewriter(alphabet: int, stay: float) -> Floats:
    """Noisy typewriter: a symbol stays with probability ``stay`` or moves to the next one."""
    eye = np.eye(_size(alphabet))
    return _rate(stay) * eye + (1.0 - stay) * np.roll(eye, 1, axis=1)


def bsc_capacity(p: float) -> float:
    """1 − h2(p)."""
    return 1.0 - h2(p)


def erasure_capacity(alphabet: int, lost: float) -> float:
    """(1 − e)·log2 K: also the bits of a jailbreak that either works or is refused."""
    return (1.0 - _rate(lost)) * math.log2(_size(alphabet))


def binary_capacity(tpr: float, fpr: float) -> tuple[float, float]:
    """Capacity of any binary channel and the mass of input 1 that reaches it.

    The best output law solves h2′(q)·(tpr − fpr) = h2(tpr) − h2(fpr).
    """
    a, b = _rate(tpr), _rate(fpr)
    if a == b:
        return 0.0, 0.5
    slope = (h2(a) - h2(b)) / (a - b)
    q = 1.0 / (1.0 + 2.0**slope)
    mass = (q - b) / (a - b)
    return max(0.0, h2(q) - mass * h2(a) - (1.0 - mass) * h2(b)), mass


def z_capacity(p: float) -> tuple[float, float]:
    """Capacity of the Z channel, log2(1 + (1−p)·p^(p/(1−p))), and the best mass of input 1."""
    if _rate(p) == 1.0:
        return 0.0, 0.5
    return math.log2(1.0 + (1.0 - p) * p ** (p / (1.0 - p))), binary_capacity(1.0 - p, 0.0)[1]


def symmetric_capacity(alphabet: int, accuracy: float) -> float:
    """log2 K − h2(a) − (1 − a)·log2(K − 1): Fano's bound with equality, the Wolpaw rate."""
    k, a = _size(alphabet), _rate(accuracy)
    if k == 1:
        return 0.0
    return max(0.0, math.log2(k) - h2(a) - (1.0 - a) * math.log2(k - 1))


def typewriter_capacity(alphabet: int, stay: float) -> float:
    """log2 K − h2(stay), for K ≥ 2."""
    return math.log2(_size(alphabet)) - (h2(stay) if alphabet > 1 else 0.0)


def noisy_permutation(items: int, keep: float) -> dict[str, float]:
    """A uniform permutation of n items that survives with ``keep``, else is redrawn.

    An n!-ary symmetric channel in closed form, since n! outgrows any matrix.

    Returns:
        ``entropy`` (bits of the secret), ``mi``, ``min_capacity``.
    """
    total = math.lgamma(_size(items) + 1) / math.log(2.0)
    k = 2.0**total
    right = _rate(keep) + (1.0 - keep) / k
    rest = 1.0 - right
    mi = total - h2(right) - (rest * math.log2(k - 1.0) if k > 1.5 else 0.0)
    return {
        "entropy": total,
        "mi": max(0.0, mi),
        "min_capacity": total + math.log2(right),
    }


def dispersion(w: ArrayLike, prior: ArrayLike) -> float:
    """Variance of the information density at the input law ``prior``, in bits².

    At a capacity-achieving law it is the V of the normal approximation.
    """
    a = as_channel(w)
    p = as_prior(prior, len(a))
    joint = p[:, None] * a
    q = joint.sum(0)
    possible = joint > 0
    density = np.log2(
        np.where(possible, a, 1.0) / np.where(q > 0, q, 1.0), where=possible, out=joint * 0
    )
    mean = float((joint * density).sum())
    return max(0.0, float((joint * (density - mean) ** 2).sum()))


def normal_approximation(uses: int, capacity: float, spread: float, error: float) -> float:
    """Bits that ``uses`` uses carry with block error ``error``: nC − √(nV)·Q⁻¹(ε) + ½·log2 n.

    Polyanskiy–Poor–Verdú 2010; an approximation, not a bound.

    Args:
        uses: n ≥ 1.
        capacity: C in bits per use.
        spread: the dispersion V in bits².
        error: block error, in 0..1.
    """
    if uses < 1 or not 0.0 < error < 1.0:
        raise UsageError(
            f"uses must be 1 or more and error strictly between 0 and 1, got {uses}, {error!r}"
        )
    back = math.sqrt(uses * spread) * -phi_inverse(error)
    return max(0.0, uses * capacity - back + 0.5 * math.log2(uses))


def uses_for(bits: float, capacity: float, spread: float, error: float) -> int:
    """The smallest block length whose normal approximation reaches ``bits``.

    Raises:
        UsageError: the capacity is 0, so that no block length suffices.
    """
    if not capacity > 0.0:
        raise UsageError(
            f"capacity must be above 0 (capacity 0 carries 0 bits in any block), got {capacity!r}"
        )
    high = 1
    while normal_approximation(high, capacity, spread, error) < bits:
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        reached = normal_approximation(middle, capacity, spread, error) >= bits
        low, high = (low, middle) if reached else (middle, high)
    return high


def _rate(p: float) -> float:
    if not 0.0 <= p <= 1.0:
        raise UsageError(f"a probability must be in 0..1, got {p!r}")
    return p


def _size(alphabet: int) -> int:
    if alphabet < 1:
        raise UsageError(f"alphabet must have at least 1 symbol, got {alphabet}")
    return alphabet
