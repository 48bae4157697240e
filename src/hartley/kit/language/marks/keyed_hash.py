"""Hashes of token n-grams under a secret key, for whole arrays at once.

The mixer is that of SplitMix64 (doi:10.1145/2660193.2660195). It is fast and passes statistical
tests, and it is not cryptographic: the attackers here have texts, and do not invert it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
FIRST, SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def hashed(key: ArrayLike, *columns: ArrayLike) -> NDArray[np.uint64]:
    """Return the hash of numbers under a key, all broadcast together.

    Args:
        key: integers in 0..2⁶³.
        columns: integers, such as the tokens of n-grams, one column for each place.
    """
    state = _mixed(np.asarray(key).astype(np.uint64))
    with np.errstate(over="ignore"):
        for column in columns:
            numbers = np.asarray(column).astype(np.uint64)
            state = _mixed(state + GOLDEN * (numbers + np.uint64(1)))
    return state


def uniforms(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return hashes as numbers strictly between 0 and 1, of 52 bits."""
    return np.asarray(((hashes >> np.uint64(12)) + 0.5) * 2.0**-52)


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * FIRST
        x = (x ^ (x >> np.uint64(27))) * SECOND
        out: NDArray[Any] = x ^ (x >> np.uint64(31))
    return out
