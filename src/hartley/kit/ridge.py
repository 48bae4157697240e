"""Ridge regression with the penalty chosen per column by leave-one-out, and cosines of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CALM = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Ridge penalties that are tried, as a share of the mean variance of an embedding's entries."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear map with an offset: ``(x − at) @ slope + level``.

    Attributes:
        error: mean square error (k,) on rows that were left out.
    """

    at: NDArray[np.float64]
    slope: NDArray[np.float64]
    level: NDArray[np.float64]
    error: NDArray[np.float64]

    @classmethod
    def fit(cls, x: NDArray[Any], y: NDArray[Any]) -> Ridge:
        """Fit by ridge regression, each column with a penalty of its own.

        It is the one that predicts left-out rows best.

        Args:
            x: (n, d).
            y: (n, k).
        """
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        at, level = x.mean(0), y.mean(0)
        left, size, right = np.linalg.svd(x - at, full_matrices=False)
        projected = left.T @ (y - level)
        # Equal embeddings carry no information; the floor avoids a division by 0.
        scale = max(float((size**2).mean()), 1e-12)
        best, slope = np.full(y.shape[1], np.inf), np.zeros((x.shape[1], y.shape[1]))
        for calm in CALM:
            shrunk = size**2 / (size**2 + calm * scale)
            # Leave-one-out errors without another fit: the error divided by 1 − leverage.
            lever = 1 / len(x) + (left**2) @ shrunk
            gap = (y - level - left @ (shrunk[:, None] * projected)) / np.maximum(1 - lever, 1e-9)[
                :, None
            ]
            error = (gap**2).mean(0)
            weight = size / (size**2 + calm * scale)
            candidate = right.T @ (weight[:, None] * projected)
            slope = np.where(error < best, candidate, slope)
            best = np.minimum(best, error)
        return cls(at, slope, level, best)

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Predict (m, k) from (m, d)."""
        return np.asarray((np.asarray(x, np.float64) - self.at) @ self.slope + self.level)


def cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Cosine of each row of ``a`` with each row of ``b``: (len(a), len(b))."""
    return np.asarray(unit(a) @ unit(b).T)


def unit(x: NDArray[Any]) -> NDArray[np.float64]:
    """Each row to length 1."""
    wide = np.asarray(x, np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))
