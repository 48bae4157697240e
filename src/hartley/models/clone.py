"""A copy of a classifier, trained on the answers of the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Modality, Model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.nets import Net


CHANNELS = (16, 32, 32, 32)
"""Channels of the convolutions of a copy; the last ones are left out of small records."""


def transfer_set(
    records: NDArray[Any], size: int, rng: np.random.Generator, *, mix: bool = True
) -> NDArray[Any]:
    """Records to query: the attacker's ``records`` in random order, then mixtures of two of them.

    Args:
        records: (n, …) records of the attacker.
        size: how many to return at most.
        rng: the order, the pairs and their weights.
        mix: False returns no more than the n records.
    """
    order = rng.permutation(len(records))[:size]
    queries = records[order]
    missing = size - len(queries)
    if not mix or missing <= 0 or not len(records):
        return queries
    a, b = rng.integers(len(records), size=(2, missing))
    share = rng.uniform(0.3, 0.7, missing).reshape(-1, *(1,) * (records.ndim - 1))
    mixed = records[a] * share + records[b] * (1 - share)
    return np.concatenate([queries, mixed.astype(records.dtype)])


def clone(
    queries: Data,
    answers: NDArray[np.float32],
    seed: int,
    *,
    hidden: int = 128,
    steps: int = 200,
    batch: int = 128,
    temperature: float = 1.0,
    convolutions: bool = False,
) -> Model:
    """Train a net to answer as the original did.

    At a temperature T above 1 the net learns the answers' logarithms divided by T, so that it also
    learns how the unlikely classes compare (arXiv:1503.02531); its own answers are scaled back.

    Args:
        queries: (n, …) records of floats that the original answered.
        answers: (n, classes) what it answered, rows that sum to 1.
        seed: of the training.
        hidden: width of the hidden layer.
        steps: optimiser steps in all, however many records there are.
        batch: records a step.
        temperature: T ≥ 1.
        convolutions: start with convolutions, of records (channels, height, width) alone.

    Returns:
        A white box: its thief may read gradients and weights.
    """
    from hartley.kit.fleet import Training, train
    from hartley.kit.nets import conv, dense

    classes, shape = answers.shape[1], tuple(queries.x.shape[1:])
    net = dense(shape, classes, (hidden,))
    if convolutions and len(shape) == len(("channels", "height", "width")):
        net = conv(shape, classes, CHANNELS[: max(1, halvings(min(shape[1:])))], (hidden,))
    fleet = train(
        net,
        queries.x,
        softened(answers, temperature),
        np.ones((1, len(queries)), dtype=bool),
        Training(epochs=max(1, round(steps * batch / len(queries))), batch=batch, lr=1e-2),
        seed=seed,
    )
    last = net.steps[-1][1]
    return of_net(
        fleet.net,
        {
            name: array[0] * (temperature if name.startswith(f"{last}.") else 1)
            for name, array in fleet.weights.items()
        },
        name="clone",
        modality=queries.modality,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS | Access.WEIGHTS,
        facts={"records asked": len(queries)},
    )


def softened(answers: NDArray[Any], temperature: float) -> NDArray[np.float32]:
    """Return probabilities (n, classes) at a temperature: the power 1/T, scaled to sum to 1.

    Args:
        answers: rows that sum to 1; those below 1e-12 are raised to it.
        temperature: T ≥ 1; at 1 they stay as they are.
    """
    if temperature == 1:
        return np.asarray(answers, dtype=np.float32)
    logs = np.log(np.maximum(np.asarray(answers, dtype=np.float64), 1e-12)) / temperature
    powers = np.exp(logs - logs.max(1, keepdims=True))
    return np.asarray(powers / powers.sum(1, keepdims=True), dtype=np.float32)


def halvings(side: int) -> int:
    """Return how often a side of a picture is halved until at most 4 are left."""
    return max(0, int(np.ceil(np.log2(side / 4))))


def of_net(
    net: Net,
    weights: Mapping[str, NDArray[Any]],
    *,
    name: str,
    modality: Modality,
    offers: Access,
    lineage: tuple[str, ...] = (),
    facts: Mapping[str, Any] | None = None,
) -> Model:
    """Return a model of a net and its weights, which carries the net's recipe with it.

    Args:
        net: the architecture.
        weights: arrays by parameter name.
        name: what to call it in reports.
        modality: what it reads.
        offers: what may be used of it.
        lineage: names of the parts that made it.
        facts: anything else worth carrying, plain values.
    """
    from hartley.targets.torch import from_torch

    model = from_torch(
        net.module(weights),
        name=name,
        modality=modality,
        classes=net.classes,
        offers=offers,
        facts={**(facts or {}), "net": net.recipe},
    )
    return replace(model, lineage=lineage)
