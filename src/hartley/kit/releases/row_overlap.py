"""Rows that two tables share: more than two independent draws of one population would?

Where rows recur within a table they recur between two, so that equal rows alone do not prove that
people are equal. Under independence a value that occurs c times in both tables together is dealt to
them like c cards: it is in the second alone with probability C(m, c) / C(n + m, c), and in both
unless it is in one alone. Copied rows are in both always. How many values are in both, and how many
are in the second alone, is compared with this law (a permutation test of the labels of rows, exact
up to the dependence between values, which makes both counts vary less).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import lgamma
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

RARE = 8
"""Values that occur more often are in both tables anyhow, and say nothing."""


@dataclass(frozen=True, slots=True)
class RowOverlap:
    """What two tables share.

    Attributes:
        share: of the second table's rows, those that are rows of the first.
        recurring: of the first table's rows, those that it has twice: what chance shares.
        p: of so much agreement if the tables were drawn independently: twice the smaller chance of
            as many values in both, and of as few in the second alone.
    """

    share: float
    recurring: float
    p: float


def row_overlap(first: Floats, second: Floats) -> RowOverlap:
    """Compare the rows of two tables (n, d) and (m, d)."""
    n, m = len(first), len(second)
    # Adding 0 makes one zero of both.
    rows = np.ascontiguousarray(np.concatenate([first, second]) + 0.0)
    packed = rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()
    _, code = np.unique(packed, return_inverse=True)
    a, b = (np.bincount(part, minlength=code.max() + 1) for part in (code[:n], code[n:]))
    both, alone = _Count(), _Count()
    for times in range(1, RARE + 1):
        rare = a + b == times
        count = int(rare.sum())
        in_first, in_second = (_all_in(part, n + m, times) for part in (n, m))
        alone.add(int((rare & (a == 0)).sum()), count, in_second)
        if times > 1:
            both.add(int((rare & (a > 0) & (b > 0)).sum()), count, 1.0 - in_first - in_second)
    return RowOverlap(
        share=float(b[a > 0].sum() / m),
        recurring=float(a[a > 1].sum() / n),
        p=min(1.0, 2 * both.at_least(), 2 * alone.at_most()),
    )


class _Count:
    """A sum of independent events, and its law."""

    def __init__(self) -> None:
        self.times, self.law = 0, np.ones(1)

    def add(self, times: int, count: int, rate: float) -> None:
        """Add how many times ``count`` events of one rate occurred."""
        from scipy.signal import fftconvolve
        from scipy.stats import binom

        self.times += times
        self.law = fftconvolve(self.law, binom.pmf(np.arange(count + 1), count, rate))

    def at_least(self) -> float:
        return float(np.clip(self.law[self.times :].sum(), 0.0, 1.0))

    def at_most(self) -> float:
        return float(np.clip(self.law[: self.times + 1].sum(), 0.0, 1.0))


def _all_in(part: int, whole: int, times: int) -> float:
    """Return the chance that ``times`` of ``whole`` rows are all in a table of ``part`` rows."""
    if part < times:
        return 0.0
    logs = [lgamma(x + 1) - lgamma(x - times + 1) for x in (part, whole)]
    return float(np.exp(logs[0] - logs[1]))
