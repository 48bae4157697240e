"""Linear quantile regression by majorising the pinball loss with parabolas (Hunter–Lange 2000)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS, SOFT = 40, 1e-2
"""Parabolas at most, and the width of the corner in units of the outcome's spread."""


def fit(x: NDArray[Any], y: NDArray[Any], level: float, ridge: float) -> NDArray[np.float64]:
    """Return weights (d + 1,), the last one the constant, of the ``level`` quantile of y given x.

    They minimise Σ pinball(y − x·w − c) + ridge·Σ w², each step in closed form.

    Args:
        x: (n, d) features, about standardised.
        y: (n,) outcomes.
        level: in 0..1.
        ridge: penalty on the weights, in outcomes of unit spread; the constant goes free.
    """
    table = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    scale = float(y.std()) or 1.0
    aim = np.asarray(y, np.float64) / scale
    pull = np.full(table.shape[1], 2.0 * ridge)
    pull[-1] = 1e-9
    push = (2 * level - 1) * table.sum(0)
    weights = np.zeros(table.shape[1])
    weights[-1] = np.quantile(aim, level)
    for _ in range(STEPS):
        heavy = 1 / (SOFT + np.abs(aim - table @ weights))
        gram = (table * heavy[:, None]).T @ table + 2 * np.diag(pull)
        new = np.linalg.solve(gram, table.T @ (heavy * aim) + push)
        moved = float(np.abs(new - weights).max())
        weights = new
        if moved < 1e-3:
            break
    return np.asarray(weights * scale)


def predict(x: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """The quantile (n,) at features (n, d)."""
    return np.asarray(x @ weights[:-1] + weights[-1])
