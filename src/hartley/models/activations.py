"""What a trained model makes of records: its last hidden layer and its log-probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Fit, Model, Output
from hartley.kit.answer_units import log_probabilities, zero_floor
from hartley.kit.language.bags import as_rows
from hartley.models.pipeline import Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

Reading = Callable[["NDArray[Any]"], "tuple[NDArray[np.float64], NDArray[np.float64]]"]
"""Records (n, …) → their last hidden layer (n, d) and their log-probabilities (n, classes)."""

LEAST = 1e-6
"""Probabilities below this are raised to it before the logarithm."""


def readable(training: Any) -> bool:
    """Whether an owner trains networks whose last hidden layer can be read."""
    return isinstance(training, Pipeline) or hasattr(training, "activations")


def last_hidden(training: Any, model: Model) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return what computes what the last layer of an owner's network reads, (n, d) of n records.

    Args:
        training: the owner's pipeline, which is ``readable``.
        model: trained by it, with its weights.
    """
    if hasattr(training, "activations"):
        return lambda x: np.asarray(training.activations(model, x))
    import torch

    body = _module(training, model)[:-1]

    def hidden(x: NDArray[Any]) -> NDArray[Any]:
        with torch.no_grad():
            numbers = np.asarray(training.numbers(x), np.float32)
            return np.asarray(body(torch.from_numpy(numbers)).numpy())

    return hidden


def readings(
    training: Any, fit: Fit, data: Data, include: NDArray[Any], seed: int
) -> list[Reading]:
    """Train K models on K subsets of records, and return what each makes of records.

    Args:
        training: the owner's pipeline, or another training whose networks cannot be read: their
            activations are then the records themselves.
        fit: trains the models in that case.
        data: labelled records.
        include: (K, n) booleans.
        seed: of the training.
    """
    if not readable(training):
        models = fit(data, include, seed)
        return [_answers(models.member(k)) for k in range(len(include))]
    # Owners may read the weights of their models, whatever attackers may see of them.
    models = training.with_(offers=training.offers | Access.WEIGHTS).fit(data, include, seed)
    return [_layers(training, models.member(k)) for k in range(len(include))]


def _module(training: Any, model: Model) -> Any:
    assert model.weights is not None
    return training.net.module(model.weights())


def _layers(training: Any, model: Model) -> Reading:
    hidden = last_hidden(training, model)
    if not isinstance(training, Pipeline):
        answers = _answers(model)
        return lambda x: (hidden(x).astype(np.float64), answers(x)[1])
    import torch

    head = _module(training, model)[-1]

    def read(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        features = hidden(x)
        with torch.no_grad():
            logs = torch.log_softmax(head(torch.from_numpy(features)), dim=1).numpy()
        return features.astype(np.float64), logs.astype(np.float64)

    return read


def _answers(model: Model) -> Reading:
    def read(x: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        answers = np.asarray(model.query(x))
        if model.output is Output.LABELS:
            logs = np.log(np.where(np.eye(model.classes)[answers.astype(np.int64)] > 0, 1.0, LEAST))
        else:
            floor = zero_floor(answers, LEAST) if model.output is Output.PROBABILITIES else LEAST
            logs = log_probabilities(answers, model.output, floor=floor)
        return as_rows(x), logs

    return read
