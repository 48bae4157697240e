"""One released row for each person: the assignment of the largest sum of scores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 4_000_000
"""Scores above which the assignment, which takes cubic time, is left out."""


def one_to_one(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores (m, rows) in which the assigned row of each person comes first.

    The order of a person's other rows is left as it is. Scores of more than ``MOST`` cells are
    returned unchanged.
    """
    if scores.size > MOST:
        return scores
    from scipy.optimize import linear_sum_assignment

    people, rows = linear_sum_assignment(scores, maximize=True)
    out = scores.copy()
    out[people, rows] = scores.max() + 1.0
    return out
