"""Hashes of whole arrays of numbers under a secret key.

The mixer is that of SplitMix64 (doi:10.1145/2660193.2660195). It is fast and passes statistical
tests, and it is not cryptographic: attackers here have what was hashed, and do not invert it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Step of the generator, by which neighbouring numbers are set apart before they are mixed."""

_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def hashed(key: ArrayLike, *columns: ArrayLike) -> NDArray[np.uint64]:
    """Return the hash of numbers under a key, all broadcast together.

    Args:
        key: integers in 0..2⁶³.
        columns: integers, such as the tokens of n-grams, one column for each place.
    """
    state = mixed(np.asarray(key).astype(np.uint64))
    with np.errstate(over="ignore"):
        for column in columns:
            numbers = np.asarray(column).astype(np.uint64)
            state = mixed(state + GOLDEN * (numbers + np.uint64(1)))
    return state


def uniforms(hashes: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Return hashes as numbers strictly between 0 and 1, of 52 bits."""
    return np.asarray(((hashes >> np.uint64(12)) + 0.5) * 2.0**-52)


def mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's finaliser of numbers: each bit of the output depends on all of a number.

    It is one to one, and takes 0 to 0.
    """
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint64(30))) * _FIRST
        x = (x ^ (x >> np.uint64(27))) * _SECOND
        out: NDArray[Any] = x ^ (x >> np.uint64(31))
    return out
