"""Scores split by the secret bit, sorted only as far as someone has looked.

A report that shows an AUC needs both sides in order; the rates at a few low false-positive levels
need the largest negatives and what lies above them, and the ε of an audit needs a few order
statistics. Whoever asks is given the values of the sorted arrays, exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

BINS = 4096
"""Enough that the bins of a dozen places hold little of a large sample."""
FEW = 32
"""Cuts up to which counting row by row is quicker than sorting."""


@dataclass(slots=True)
class Side:
    """The scores of one secret.

    Attributes:
        values: (n,) finite scores, in any order.
    """

    values: Array
    _top: Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Nothing is sorted yet."""
        self.values = np.asarray(self.values, np.float64)
        self._top = self.values[:0]

    def __len__(self) -> int:
        """The number of scores."""
        return len(self.values)

    @property
    def ascending(self) -> Array:
        """(n,) all scores in order."""
        if len(self._top) < len(self.values):
            self._top = np.sort(self.values)
        return self._top

    def largest(self, ranks: ArrayLike) -> Array:
        """Return the scores of these ranks, 1 for the largest; what lies below stays unsorted."""
        ranks = np.asarray(ranks)
        n, deep = len(self.values), int(ranks.max())
        if 2 * deep > n:
            return np.asarray(self.ascending[n - ranks])
        if len(self._top) < deep:
            self._top = np.sort(np.partition(self.values, n - deep)[n - deep :])
        return np.asarray(self._top[len(self._top) - ranks])

    def at(self, places: ArrayLike) -> Array:
        """Return a few scores by their places in ascending order, 0 for the smallest."""
        where = np.asarray(places, np.int64)
        if len(self._top) == len(self.values):
            return np.asarray(self._top[where])
        return order_statistics(self.values, where)

    def ends(self) -> tuple[float, float]:
        """Return the smallest and the largest score."""
        if len(self._top) == len(self.values):
            return float(self._top[0]), float(self._top[-1])
        return float(self.values.min()), float(self.values.max())

    def above(self, cuts: ArrayLike) -> Whole:
        """Return how many scores lie strictly above each cut."""
        cuts = np.asarray(cuts, np.float64)
        whole = len(self._top) == len(self.values)
        # Scores equal to the lowest that was kept may have been left out; those above it were not.
        known = whole or (len(self._top) > 0 and self._top[0] <= cuts.min(initial=np.inf))
        if not known and cuts.size <= FEW:
            return np.array([np.count_nonzero(self.values > cut) for cut in cuts.flat], np.int64)
        if not known:
            self._top = np.sort(np.compress(self.values > cuts.min(), self.values))
        return np.asarray(len(self._top) - np.searchsorted(self._top, cuts, side="right"))

    def below(self, cuts: ArrayLike) -> Whole:
        """Return how many scores lie strictly below each of a few cuts."""
        cuts = np.asarray(cuts, np.float64)
        if len(self._top) == len(self.values):
            return np.asarray(np.searchsorted(self._top, cuts, side="left"))
        return np.array([np.count_nonzero(self.values < cut) for cut in cuts.flat], np.int64)

    def flipped(self) -> Side:
        """The same scores read the other way round."""
        return Side(-self.values)


@dataclass(slots=True)
class Scores:
    """Scores of uses whose secret is 1, and of those whose secret is 0."""

    positives: Side
    negatives: Side

    @classmethod
    def of(cls, truth: NDArray[Any], score: ArrayLike) -> Scores:
        """Split scores by the secret bit."""
        one, score = truth == 1, np.asarray(score, np.float64)
        # compress copies without a branch on each row: a seventh of what score[one] takes.
        return cls.split(np.compress(one, score), np.compress(~one, score))

    @classmethod
    def split(cls, positives: ArrayLike, negatives: ArrayLike) -> Scores:
        """Take scores that are split already; any order."""
        return cls(Side(np.asarray(positives)), Side(np.asarray(negatives)))

    def sort(self) -> None:
        """Put both sides in order at once, for who will ask for all of it."""
        _ = self.positives.ascending, self.negatives.ascending

    def flipped(self) -> Scores:
        """The same scores read the other way round."""
        return Scores(self.positives.flipped(), self.negatives.flipped())

    def ends(self) -> tuple[float, float]:
        """Return the smallest and the largest score of both sides."""
        low, high = zip(self.positives.ends(), self.negatives.ends(), strict=True)
        return min(low), max(high)

    def two_valued(self) -> bool:
        """Whether no score lies strictly between the smallest and the largest."""
        least, most = self.ends()
        sides = (self.positives.values, self.negatives.values)
        # The row in the middle settles it for nearly every score that takes more values.
        if any(least < v[len(v) // 2] < most for v in sides):
            return False
        return not any(((v != least) & (v != most)).any() for v in sides)


def order_statistics(values: Array, at: Whole) -> Array:
    """Return ``np.sort(values)[at]`` for a few places, by sorting only the bins they fall in.

    Args:
        values: (n,) finite numbers.
        at: places from 0 to n − 1, in any order.
    """
    sample = np.sort(values[:: max(1, len(values) // 512)])
    low, wide = sample[0], sample[-1] - sample[0]
    if len(values) < 4 * BINS or not 1e-200 < wide < 1e200:
        return np.asarray(np.partition(values, np.unique(at))[at])
    with np.errstate(over="ignore"):
        inside = (values - low) * ((BINS - 2) / wide) + 1.0  # grows with the value, rounding too
    bins = np.clip(inside, 0, BINS - 1).astype(np.int64)
    upto = np.bincount(bins, minlength=BINS).cumsum()
    needed, which = np.unique(np.searchsorted(upto, at, side="right"), return_inverse=True)
    wanted = np.zeros(BINS, dtype=bool)
    wanted[needed] = True
    kept = np.sort(values[np.flatnonzero(wanted[bins])])
    before = np.concatenate([[0], upto])[needed]
    start = np.concatenate([[0], np.cumsum(upto[needed] - before)])
    return np.asarray(kept[start[which] + at - before[which]])
