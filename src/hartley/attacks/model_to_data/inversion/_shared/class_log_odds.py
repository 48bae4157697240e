"""The log-odds that a model gives to a class, and their gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Output
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import Model

LEAST = 1e-9
"""Least probability: below it rounding destroys the gradient."""


def log_odds(model: Model, x: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the log-odds ln p/(1−p) (n,) of one class (n,) for each record (n, …).

    Raises:
        UsageError: the model answers with labels only.
    """
    return _odds(_probabilities(model, x), labels)


def margin_slope(
    model: Model, x: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the gradient (n, …) of the log-odds of one class for each record, and the log-odds.

    A model offers the gradient of its loss, which vanishes as the model becomes confident. That of
    the log-odds does not, and d ln p/(1−p) = −d loss / (1 − p).

    Raises:
        UsageError: the model answers with labels only, or offers no gradients.
    """
    if model.grad is None:
        raise UsageError(f"{model.name} must offer gradients, got none")
    probabilities = _probabilities(model, x)
    complement = np.maximum(1 - probabilities[np.arange(len(x)), labels], LEAST)
    slope = np.asarray(model.grad(x, labels), np.float64)
    return -slope / complement.reshape(-1, *[1] * (x.ndim - 1)), _odds(probabilities, labels)


def _probabilities(model: Model, x: NDArray[Any]) -> NDArray[np.float64]:
    if model.output not in {Output.PROBABILITIES, Output.LOGITS}:
        raise UsageError(f"{model.name} must answer with scores, got {model.output}")
    answers = np.asarray(model.query(x), np.float64)
    if model.output is Output.LOGITS:
        answers = np.exp(answers - answers.max(1, keepdims=True))
        answers /= answers.sum(1, keepdims=True)
    return answers


def _odds(probabilities: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    rows = np.arange(len(probabilities))
    true = np.maximum(probabilities[rows, labels], LEAST)
    others = probabilities.copy()
    others[rows, labels] = 0
    return np.asarray(np.log(true) - np.log(np.maximum(others.sum(1), LEAST)))
