"""Features of mean answers: of a node and of its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 1e-300
"""Mean answers below this are raised to it before the logarithm."""


def answer_features(
    probabilities: NDArray[Any], complements: NDArray[Any], labels: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the label's margin, entropy and largest probability (n, 3).

    Args:
        probabilities: (n, classes), mean answers; 0 throughout where a node has no neighbours.
        complements: (n, classes), the means of what they lack to 1.
        labels: (n,) classes.
    """
    lonely = probabilities.sum(1, keepdims=True) == 0
    classes = probabilities.shape[1]
    p = np.where(lonely, 1 / classes, probabilities)
    missing = np.where(lonely, 1 - 1 / classes, complements)
    of_label, rest = (a[np.arange(len(p)), labels] for a in (p, missing))
    margin = np.log(np.maximum(of_label, SMALLEST)) - np.log(np.maximum(rest, SMALLEST))
    entropy = -(p * np.log(np.maximum(p, SMALLEST))).sum(1)
    return np.stack([margin, entropy, p.max(1)], 1)
