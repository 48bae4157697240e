"""What a trained model makes of records: its last hidden layer and its log-probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Fit, Model, Output
from hartley.kit import kmeans
from hartley.kit.answer_units import log_probabilities, zero_floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

Reading = Callable[["NDArray[Any]"], "tuple[NDArray[np.float64], NDArray[np.float64]]"]
"""Records (n, …) → their last hidden layer (n, d) and their log-probabilities (n, classes)."""

LEAST = 1e-6
"""Probabilities below this are raised to it before the logarithm."""


def readings(
    training: Any, fit: Fit, data: Data, include: NDArray[Any], seed: int
) -> list[Reading]:
    """Train K models on K subsets of records, and return what each makes of records.

    Args:
        training: the owner's ``Pipeline``, or another training whose networks cannot be read: their
            activations are then the records themselves.
        fit: trains the models in that case.
        data: labelled records.
        include: (K, n) booleans.
        seed: of the training.
    """
    if not (hasattr(training, "net") and hasattr(training, "with_")):
        models = fit(data, include, seed)
        return [_answers(models.member(k)) for k in range(len(include))]
    # Owners may read the weights of their models, whatever attackers may see of them.
    models = training.with_(offers=training.offers | Access.WEIGHTS).fit(data, include, seed)
    return [_layers(training, models.member(k)) for k in range(len(include))]


def _layers(training: Any, model: Model) -> Reading:
    import torch

    assert model.weights is not None
    module = training.net.module(model.weights())

    def read(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        with torch.no_grad():
            hidden = module[:-1](torch.from_numpy(np.asarray(x, np.float32)))
            logs = torch.log_softmax(module[-1](hidden), dim=1)
        return hidden.numpy().astype(np.float64), logs.numpy().astype(np.float64)

    return read


def _answers(model: Model) -> Reading:
    def read(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        answers = np.asarray(model.query(x))
        if model.output is Output.LABELS:
            logs = np.log(np.where(np.eye(model.classes)[answers.astype(np.int64)] > 0, 1.0, LEAST))
        else:
            floor = zero_floor(answers, LEAST) if model.output is Output.PROBABILITIES else LEAST
            logs = log_probabilities(answers, model.output, floor=floor)
        return kmeans.flat(x), logs

    return read
