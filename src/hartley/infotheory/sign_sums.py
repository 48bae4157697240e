"""Exact tails of sums with random signs: the law of a keyed detector under "not marked".

A detector that adds up features of an item with ±1 signs from a key has, on an item that does not
depend on the key, the law of Σ ±w over the key alone. Nothing is assumed about the item, and no
normal law enters (in the tail it may be off by many bits).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = -900.0
"""A tail is never reported below 2^LEAST: smaller ones are not numbers any more."""


def log2_sign_sum_tail(weights: NDArray[Any], total: int) -> float:
    """Return log2 P(Σ sᵢ·wᵢ ≥ total) for independent fair signs sᵢ, exactly.

    Args:
        weights: (n,) whole numbers; their signs do not matter. Few different sizes are fast.
        total: the sum that was observed, a whole number.

    Raises:
        ValueError: the weights are not whole numbers.
    """
    sizes = np.abs(np.asarray(weights))
    if sizes.dtype.kind not in "iu":
        raise ValueError(f"weights must be whole numbers, got {sizes.dtype}")
    largest = int(sizes.sum())
    if total > largest:
        return -math.inf
    if total <= -largest:
        return 0.0
    # In steps of 2 from −largest: each weight adds 0 or w steps, so all terms are positive and
    # every convolution keeps its relative precision.
    law = np.ones(1)
    for size, count in zip(*np.unique(sizes[sizes > 0], return_counts=True), strict=True):
        law = np.convolve(law, _steps(int(size), int(count)))
    first = (total + largest + 1) // 2
    tail = float(law[first:].sum())
    return max(LEAST, math.log2(tail)) if tail > 0 else LEAST


def log2_best_tail(weights: NDArray[Any]) -> float:
    """Return log2 of the smallest tail that any signs could have: 2⁻ⁿ over weights that are not 0.

    A detector whose smallest tail is above its threshold cannot decide.
    """
    return -float(np.count_nonzero(weights))


def _steps(size: int, count: int) -> NDArray[np.float64]:
    """Return the law of ``size`` times a binomial (count, ½), on 0..size·count."""
    from scipy.special import gammaln

    k = np.arange(count + 1)
    logs = gammaln(count + 1) - gammaln(k + 1) - gammaln(count - k + 1) - count * math.log(2.0)
    law = np.zeros(size * count + 1)
    law[::size] = np.exp(logs)
    return law
