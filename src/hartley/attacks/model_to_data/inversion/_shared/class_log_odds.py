"""How sure a model is of a class, in log-odds, and which way it grows surer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Output
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import Model

LEAST = 1e-9
"""Least chance that is told from 0: beyond it a slope is lost in rounding."""


def log_odds(model: Model, x: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Log-odds of a class each, ln p/(1−p): (n,) of records (n, …) and classes (n,).

    Raises:
        UsageError: the model answers with labels only.
    """
    return _odds(_chances(model, x), labels)


def margin_slope(
    model: Model, x: NDArray[Any], labels: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The slope (n, …) of the log-odds of a class each, and the log-odds (n,) themselves.

    The loss whose gradient a model offers flattens out as the model becomes sure; the log-odds do
    not, and d ln p/(1−p) = −d loss / (1 − p).

    Raises:
        UsageError: the model answers with labels only, or offers no gradients.
    """
    if model.grad is None:
        raise UsageError(f"{model.name} offers no gradients")
    chances = _chances(model, x)
    rest = np.maximum(1 - chances[np.arange(len(x)), labels], LEAST)
    slope = np.asarray(model.grad(x, labels), np.float64)
    return -slope / rest.reshape(-1, *[1] * (x.ndim - 1)), _odds(chances, labels)


def _chances(model: Model, x: NDArray[Any]) -> NDArray[np.float64]:
    if model.output not in {Output.PROBABILITIES, Output.LOGITS}:
        raise UsageError(f"{model.name} answers with {model.output}, and scores are due")
    said = np.asarray(model.query(x), np.float64)
    if model.output is Output.LOGITS:
        said = np.exp(said - said.max(1, keepdims=True))
        said /= said.sum(1, keepdims=True)
    return said


def _odds(chances: NDArray[np.float64], labels: NDArray[Any]) -> NDArray[np.float64]:
    rows = np.arange(len(chances))
    own = np.maximum(chances[rows, labels], LEAST)
    others = chances.copy()
    others[rows, labels] = 0
    return np.asarray(np.log(own) - np.log(np.maximum(others.sum(1), LEAST)))
