"""Are rows copies of one another? From how often equal rows occur, whatever their order.

Independent draws of discrete values give every multiplicity its share: where many values occur
25 times, others occur 24 and 26 times. Copies break that rule. A bootstrap sample of few rows does
not, and neither do copies of a table of two symbols: in no order do they differ from honest rows.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.keyed_hash import GOLDEN, mixed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    Whole = NDArray[np.int64]
    Codes = NDArray[np.uint64]

SIDE = 1e-5
"""Error level of each of the two limits within the test of multiplicities."""


def row_codes(columns: Iterable[NDArray[Any]]) -> Codes:
    """Return (n,) codes that are equal for rows that are equal in all columns."""
    codes: Codes | None = None
    for column in columns:
        # Adding 0 makes −0 and 0 the same bits.
        bits = (np.asarray(column, np.float64) + 0.0).view(np.uint64)
        codes = mixed(bits if codes is None else codes * GOLDEN + bits)
    if codes is None:
        raise ValueError("columns must be one or more, got none")
    return codes


def cluster_codes(codes: Codes, cluster: Whole) -> Codes:
    """Return one code a cluster: equal for clusters of equal rows in any order."""
    total = np.zeros(int(cluster.max()) + 1, np.uint64)
    np.add.at(total, cluster, codes)
    return total


def multiplicities(codes: Codes) -> Whole:
    """Return how often each distinct code occurs."""
    ordered = np.sort(codes)
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return np.asarray(np.diff(np.r_[first, len(codes)]))


def copies(counts: Whole) -> tuple[float, int]:
    """Return the p-value that equal rows are independent draws, and how often a copy occurs.

    f_j values that occur j times each have, over independent draws of any discrete law,
    expectations with (f_c·c!)² ≤ f_(c−1)·(c−1)!·f_(c+1)·(c+1)!, as moments of a measure
    (Poisson sampling; Cauchy–Schwarz). Where many values occur c times and few c − 1 times, many
    must occur c + 1 times; that they are missing has a Poisson chance.

    Args:
        counts: how often each distinct row occurs.
    """
    from scipy.special import gammaincinv

    frequency = np.bincount(counts)
    times = np.flatnonzero(frequency >= 5)
    times = times[times >= 2]
    if not len(times):
        return 1.0, 0
    padded = np.r_[frequency, 0, 0]
    middle, below, above = (padded[times + k].astype(float) for k in (0, -1, 1))
    least = gammaincinv(middle, SIDE)
    factor = times / (times + 1) * least**2
    expected_above = factor / gammaincinv(below + 1, 1 - SIDE)
    expected_below = factor / gammaincinv(above + 1, 1 - SIDE)
    tails = np.r_[_poisson_tail(above, expected_above), _poisson_tail(below, expected_below)]
    # Every limit within one comparison adds its own error.
    chances = np.minimum(1.0, (tails + 2 * SIDE) * len(tails))
    best = int(chances.argmin()) % len(times)
    return float(chances.min()), int(times[best])


def _poisson_tail(count: NDArray[Any], mean: NDArray[Any]) -> NDArray[Any]:
    """Return P(Poisson(mean) ≤ count)."""
    from scipy.special import pdtr

    return np.asarray(pdtr(count, mean))


def common_factor(truth: Whole, guess: Whole) -> tuple[float, int]:
    """Return the p-value that all cells of a confusion matrix have a common factor, and it.

    Given how often each secret was sent, one cell of a row follows from the others; each of the
    others is a multiple of c with a chance of about 1/c.

    Args:
        truth: (n,) symbols.
        guess: (n,) symbols, −1 = erased.
    """
    width = int(guess.max()) + 2
    cells, counts = np.unique(truth * width + guess + 1, return_counts=True)
    factor = int(np.gcd.reduce(counts))
    free = len(cells) - len(np.unique(cells // width))
    if factor < 2 or free < 1:
        return 1.0, 1
    # Twice: larger factors would have been reported as well.
    return min(1.0, 2.0 * math.exp(-free * math.log(factor))), factor
