"""A model of fully connected layers in double precision, whose parameters a game may replace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Fit, Modality, Model, Output
from hartley.kit import dense_layers
from hartley.kit.answer_units import log_probabilities
from hartley.kit.ensemble_of import separate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.dense_layers import Layers

LAYERS = "layers"
"""Fact of training records: parameters by name that take the place of trained ones."""


def dense_network(
    layers: Layers,
    modality: Modality,
    output: Output,
    *,
    precision: str = "float64",
    name: str = "dense network",
    offers: Access = Access.LABELS | Access.SCORES,
) -> Model:
    """Return a model that answers with its scores, or with their softmax.

    Args:
        layers: the parameters.
        modality: of the records, which are read flat.
        output: PROBABILITIES or LOGITS. A model of one score answers with that number (LOGITS).
        precision: ``float64`` or ``float32``: to which each answer is rounded.
        name: what to call it.
        offers: what an attacker may use at most.
    """
    kind = np.dtype(precision)

    def query(x: NDArray[Any]) -> NDArray[Any]:
        flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
        scores = dense_layers.forward(layers, flat)
        if output is Output.PROBABILITIES:
            scores = np.exp(log_probabilities(scores, Output.LOGITS))
        return scores.astype(kind)

    return Model(
        name,
        modality,
        query,
        output,
        len(layers[-1][1]),
        reads=layers[0][0].shape[1],
        offers=offers,
        facts={"hidden layers": len(layers) - 1},
    )


def owner(
    widths: Sequence[int],
    modality: Modality,
    output: Output,
    *,
    classes: int,
    precision: str = "float64",
    target: Callable[[Data], NDArray[Any]] | None = None,
    name: str = "dense network",
) -> Fit:
    """Return a training of such models.

    ``data.facts["layers"]``, parameters by name, replace the trained ones: so an auditor plants
    symbols behind any defense of ``Scene.fit``.

    Args:
        widths: units of each hidden layer.
        modality: of the records.
        output: units of the answers.
        classes: number of scores.
        precision: as in ``dense_network``.
        target: records → what is predicted (n,); None for their labels.
        name: what to call the models.
    """

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        def member(rows: NDArray[Any]) -> Model:
            if LAYERS in data.facts:
                layers = dense_layers.from_named(data.facts[LAYERS])
            else:
                layers = trained(data, rows, seed)
            return dense_network(layers, modality, output, precision=precision, name=name)

        return separate([member(rows) for rows in include])

    def trained(data: Data, rows: NDArray[Any], seed: int) -> Layers:
        y = data.labels if target is None else target(data)
        flat = data.x[rows].reshape(int(rows.sum()), -1)
        return dense_layers.train(flat, y[rows], widths, classes=classes, seed=seed)

    return fit
