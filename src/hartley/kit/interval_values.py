"""Numbers with their interval: the utility figures of a scene."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

ALPHA = 0.05


class Figure(float):
    """A number with a two-sided 95 % interval; it counts and compares as the number itself.

    Attributes:
        low, high: ends of the interval, or None where one record does not allow an interval.
        n: number of records behind it.
    """

    low: float | None
    high: float | None
    n: int

    def __new__(cls, value: float, low: float | None, high: float | None, n: int) -> Figure:
        """Attach the interval to the number."""
        figure = super().__new__(cls, value)
        figure.low, figure.high, figure.n = low, high, n
        return figure

    def __reduce__(self) -> tuple[Any, ...]:
        """Keep the interval in a copy."""
        return type(self), (float(self), self.low, self.high, self.n)


def share_figure(hits: ArrayLike) -> Figure:
    """Return the share of hits with Clopper and Pearson's interval.

    Args:
        hits: (n,) booleans, n ≥ 1.
    """
    from scipy.special import betaincinv

    is_hit = np.asarray(hits, dtype=bool)
    k, n = int(is_hit.sum()), len(is_hit)
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, ALPHA / 2))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - ALPHA / 2))
    return Figure(k / n, low, high, n)


def mean_figure(values: ArrayLike, sizes: ArrayLike | None = None) -> Figure:
    """Return a mean over records with a t interval; the record is the unit of independence.

    Args:
        values: (n,) one number per record, n ≥ 1.
        sizes: (n,) how much of the mean each record makes up (its tokens, say), ``values`` being
            totals; None weighs all equally.
    """
    from scipy.special import stdtrit

    x = np.asarray(values, np.float64)
    n, size = len(x), np.ones(len(x)) if sizes is None else np.asarray(sizes, np.float64)
    value = float(x.sum() / size.sum())
    if n < 2:
        return Figure(value, None, None, n)
    # The error of a ratio of sums is that of the mean residual of the records.
    residual = x - value * size
    error = math.sqrt(float((residual**2).sum()) * n / (n - 1)) / float(size.sum())
    reach = float(stdtrit(n - 1, 1 - ALPHA / 2)) * error
    return Figure(value, value - reach, value + reach, n)
