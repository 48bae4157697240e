"""Ciphertexts of a column in their order, and the values at the same places of the known law."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def ordered_counts(
    signs: NDArray[Any], counted: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the place of each ciphertext (n,) among the different ones, and their counts.

    Args:
        signs: (n,) ciphertexts.
        counted: (n,) booleans, which of them are of the usual law.
    """
    distinct, place = np.unique(signs, return_inverse=True)
    counts = np.bincount(place[counted], minlength=len(distinct)).astype(np.float64)
    return place.astype(np.int64), counts


def midpoints(counts: NDArray[Any], law: NDArray[Any]) -> NDArray[np.int64]:
    """Return the value at the place of each ciphertext: where the middle of its share falls.

    Args:
        counts: (signs,) how often each ciphertext occurs, in their order.
        law: (K,) how often each value occurs elsewhere, in their order.
    """
    total = max(1.0, float(counts.sum()))
    middle = (np.cumsum(counts) - counts / 2) / total
    ends = np.cumsum(law) / law.sum()
    return np.minimum(np.searchsorted(ends, middle), len(law) - 1).astype(np.int64)
