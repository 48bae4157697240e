"""Linear quantile regression by majorising the pinball loss with parabolas (Hunter–Lange 2000)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS, SOFT = 40, 1e-2
"""Largest number of steps, and the width of the loss's corner in units of the outcome's spread."""


def fit(x: NDArray[Any], y: NDArray[Any], level: float, ridge: float) -> NDArray[np.float64]:
    """Return weights (d + 1,), the last one the constant, of the ``level`` quantile of y given x.

    The weights minimise Σ pinball(y − x·w − c) + ridge·Σ w²; each step has a closed form.

    Args:
        x: (n, d) features, approximately standardised.
        y: (n,) outcomes.
        level: of the quantile, in 0..1.
        ridge: penalty on the weights for outcomes of unit spread; the constant has none.
    """
    table = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    scale = float(y.std()) or 1.0
    aim = np.asarray(y, np.float64) / scale
    penalty = np.full(table.shape[1], 2.0 * ridge)
    penalty[-1] = 1e-9
    slope = (2 * level - 1) * table.sum(0)
    weights = np.zeros(table.shape[1])
    weights[-1] = np.quantile(aim, level)
    for _ in range(STEPS):
        row_weights = 1 / (SOFT + np.abs(aim - table @ weights))
        gram = (table * row_weights[:, None]).T @ table + 2 * np.diag(penalty)
        new = np.linalg.solve(gram, table.T @ (row_weights * aim) + slope)
        change = float(np.abs(new - weights).max())
        weights = new
        if change < 1e-3:
            break
    return np.asarray(weights * scale)


def predict(x: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quantile (n,) at features (n, d)."""
    return np.asarray(x @ weights[:-1] + weights[-1])
