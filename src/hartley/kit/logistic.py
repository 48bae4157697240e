"""Logistic regression with a ridge, by Newton's method: small, exact, no library to load."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS = 25


def fit(x: NDArray[Any], y: NDArray[Any], ridge: float = 1e-3) -> NDArray[np.float64]:
    """Return weights (d + 1,), the last one the constant, of P(y = 1) = 1/(1 + e^−(x·w + c)).

    Args:
        x: (n, d) features, about standardised.
        y: (n,) 0 or 1.
        ridge: half the penalty on w·w, per record; the constant goes free.
    """
    table = np.column_stack([x, np.ones(len(x))]).astype(np.float64)
    pull = np.full(table.shape[1], ridge * len(table))
    pull[-1] = 1e-9
    weights = np.zeros(table.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(table @ weights, -30, 30)))
        slope = table.T @ (p - y) + pull * weights
        bend = (table * (p * (1 - p))[:, None]).T @ table + np.diag(pull + 1e-9)
        step = np.linalg.solve(bend, slope)
        # A step that is cut short keeps Newton from leaving where the classes are far apart.
        weights -= step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-6:
            break
    return weights


def logits(x: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float64]:
    """Log-odds (n,) of y = 1."""
    return np.asarray(x @ weights[:-1] + weights[-1])
