"""Fully connected layers with ReLU between them, in double precision: forward, slopes, training.

Parameters are pairs (weight (out, in), bias (out,)), one pair per layer. A network of one pair is a
linear model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Layers = tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]

BLOCK = 8192
"""Records that pass at once; limits memory."""


def forward(layers: Layers, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return the scores (n, out) of flat records (n, d): the last layer has no ReLU."""
    out = []
    for first in range(0, len(x), BLOCK):
        h = np.asarray(x[first : first + BLOCK], dtype=np.float64)
        for weight, bias in layers[:-1]:
            h = np.maximum(h @ weight.T + bias, 0.0)
        out.append(h @ layers[-1][0].T + layers[-1][1])
    return np.concatenate(out) if out else np.zeros((0, len(layers[-1][1])))


def named(layers: Layers) -> dict[str, NDArray[np.float64]]:
    """Return the parameters by name: ``weight 0``, ``bias 0`` and so on."""
    out = {}
    for i, (weight, bias) in enumerate(layers):
        out[f"weight {i}"], out[f"bias {i}"] = weight, bias
    return out


def from_named(weights: Mapping[str, Any]) -> Layers:
    """Return the layers of parameters by name; () where these are other parameters."""
    layers: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    width = None
    while f"weight {len(layers)}" in weights:
        weight = np.asarray(weights[f"weight {len(layers)}"], dtype=np.float64)
        bias = np.asarray(weights.get(f"bias {len(layers)}", ()), dtype=np.float64)
        if weight.ndim != 2 or bias.shape != weight.shape[:1]:
            return ()
        if width is not None and weight.shape[1] != width:
            return ()
        width = len(weight)
        layers.append((weight, bias))
    return tuple(layers)


def jacobian(layers: Layers, x: NDArray[Any]) -> NDArray[np.float64]:
    """Return the slopes (n·out, parameters) of the scores of records (n, d) in all parameters.

    Columns are in the order weight 0 (by rows), bias 0, weight 1, …; rows are record by record.
    """
    h = np.asarray(x, dtype=np.float64)
    before, open_ = [h], []
    for weight, bias in layers[:-1]:
        z = h @ weight.T + bias
        open_.append(z > 0)
        h = np.maximum(z, 0.0)
        before.append(h)
    n, out = len(h), len(layers[-1][1])
    back = np.broadcast_to(np.eye(out), (n, out, out))
    blocks: list[NDArray[np.float64]] = []
    for i in range(len(layers) - 1, -1, -1):
        if i < len(layers) - 1:
            back = (back @ layers[i + 1][0]) * open_[i][:, None, :]
        slopes = back[..., None] * before[i][:, None, None, :]
        blocks[:0] = [slopes.reshape(n * out, -1), back.reshape(n * out, -1)]
    return np.concatenate(blocks, axis=1)


def moved(layers: Layers, step: NDArray[np.float64]) -> Layers:
    """Return the layers with a step added, in the order of the columns of ``jacobian``."""
    out, at = [], 0
    for weight, bias in layers:
        w = weight + step[at : at + weight.size].reshape(weight.shape)
        at += weight.size
        out.append((w, bias + step[at : at + bias.size]))
        at += bias.size
    return tuple(out)


def train(
    x: NDArray[Any],
    y: NDArray[Any],
    widths: Sequence[int],
    *,
    classes: int,
    seed: int,
    epochs: int = 60,
    batch: int = 32,
    rate: float = 3e-3,
    decay: float = 1e-4,
) -> Layers:
    """Train by Adam: cross-entropy of integer labels, or squared error of real numbers.

    Args:
        x: (n, d) flat records.
        y: (n,) labels 0…classes−1; with ``classes`` 1, real numbers to predict.
        widths: units of each hidden layer; none for a linear model.
        classes: number of scores.
        seed: of the first weights and of the order of the records.
        epochs: passes over the records.
        batch: records per step.
        rate: learning rate.
        decay: pull of the weights towards 0.
    """
    rng = np.random.default_rng(seed)
    sizes = [x.shape[1], *widths, classes]
    flat: list[NDArray[np.float64]] = []
    for inputs, outputs in pairwise(sizes):
        flat += [rng.standard_normal((outputs, inputs)) * np.sqrt(2 / inputs), np.zeros(outputs)]
    first, second = [np.zeros_like(p) for p in flat], [np.zeros_like(p) for p in flat]
    data, step = np.asarray(x, dtype=np.float64), 0
    for _ in range(epochs):
        order = rng.permutation(len(data))
        for at in range(0, len(order), batch):
            rows, step = order[at : at + batch], step + 1
            slopes = _slopes(flat, data[rows], y[rows], classes)
            for i, slope in enumerate(slopes):
                first[i] = 0.9 * first[i] + 0.1 * slope
                second[i] = 0.999 * second[i] + 0.001 * slope**2
                size = np.sqrt(second[i] / (1 - 0.999**step)) + 1e-9
                flat[i] -= rate * (first[i] / (1 - 0.9**step) / size + decay * flat[i])
    return tuple(zip(flat[::2], flat[1::2], strict=True))


def _slopes(
    flat: Sequence[NDArray[np.float64]], x: NDArray[np.float64], y: NDArray[Any], classes: int
) -> list[NDArray[np.float64]]:
    """Return the slopes of the mean loss in each array of parameters."""
    states = [x]
    for i in range(0, len(flat) - 2, 2):
        states.append(np.maximum(states[-1] @ flat[i].T + flat[i + 1], 0.0))
    scores = states[-1] @ flat[-2].T + flat[-1]
    if classes == 1:
        error = scores - np.asarray(y, dtype=np.float64)[:, None]
    else:
        law = np.exp(scores - scores.max(1, keepdims=True))
        error = law / law.sum(1, keepdims=True)
        error[np.arange(len(y)), y] -= 1
    error /= len(x)
    out: list[NDArray[np.float64]] = []
    for i in range(len(flat) - 2, -1, -2):
        out[:0] = [error.T @ states[i // 2], error.sum(0)]
        error = (error @ flat[i]) * (states[i // 2] > 0)
    return out
