"""The live and dead scenes of evasion: a linear model of weak features, and a model that is blind.

Records carry their class twice: strongly in four entries, which the model does not read, and weakly
in all the others, which it does. So it is right on every clean record, and a small change
of every entry turns it around. A network that is trained against such changes reads the others.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Ensemble, Modality, Model, Output, Scene
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit.ensemble_of import separate
from hartley.kit.graph.link_budget import SmallGraphLinks
from hartley.kit.perturbation import Perturbation
from hartley.models.pipeline import OPEN, Pipeline
from hartley.models.training_defense import trainable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLASSES, EPSILON = 4, 0.1
"""Classes, each with one entry that carries it strongly, and the budget."""

WEAK, SPREAD, SHARP = 0.04, 0.02, 6.0
"""Height of the weak features, deviation of the noise, and how confident the model is."""


def scene(modality: Modality, rng: Rng, *, reads: bool) -> Scene:
    """Return a scene whose model reads the weak features, or nothing."""
    if modality is Modality.GRAPH:
        return _graphs(rng, reads=reads)
    shape = tiny_shape(modality, "jailbreak", flat=64)
    size = int(np.prod(shape))
    signs = rng.choice([-1.0, 1.0], (CLASSES, size))
    heights = np.full(size, WEAK)
    heights[:CLASSES] = 2 * EPSILON
    signs[:, :CLASSES] = 2 * np.eye(CLASSES) - 1

    def records(name: str, each: int) -> Data:
        y = np.tile(np.arange(CLASSES), each)
        noise = SPREAD * rng.standard_normal((len(y), size))
        x = np.clip(0.5 + heights * signs[y] + noise, 0, 1).astype(np.float32)
        return Data(name, modality, x.reshape(-1, *shape), y)

    weights = np.where(np.arange(size) < CLASSES, 0.0, signs) * SHARP * reads

    def logits(x: NDArray[Any]) -> NDArray[Any]:
        return np.asarray((np.asarray(x, np.float64).reshape(len(x), -1) - 0.5) @ weights.T)

    def query(x: NDArray[Any]) -> NDArray[Any]:
        z = logits(x)
        out = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(out / out.sum(1, keepdims=True))

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        error = query(x) - np.eye(CLASSES)[np.asarray(y)]
        return np.asarray((error @ weights).reshape(x.shape))

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del data, seed
        return separate([model] * len(include))

    model = Model(
        "weak features",
        modality,
        query,
        Output.PROBABILITIES,
        CLASSES,
        grad=grad,
        fit=fit,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS | Access.TRAIN,
    )
    train = records("train", 40)
    whole = Scene(
        name="live" if reads else "dead",
        modality=modality,
        model=model,
        train=train,
        holdout=records("holdout", 8),
        fit=fit,
        extra={"test": records("test", 10), "public": records("public", 10)},
        parts=(Perturbation("linf", EPSILON),),
    )
    whole = trainable(whole, epochs=40 if reads else 0)
    assert isinstance(whole.training, Pipeline)
    return replace(whole, training=whole.training.with_(offers=OPEN))


NODES, GROUP, LINKS = 8, 4, 2
"""Nodes of a small graph, nodes of each of its two groups, and flips that a record allows."""

WITHIN, ACROSS = 1.0, 8.0
"""What a link within a group and one between the groups weigh in an answer."""


def _graphs(rng: Rng, *, reads: bool) -> Scene:
    """Return small graphs of two groups of nodes.

    Links within groups carry the class, and links between groups, which no record has, outweigh
    them: two of these turn an answer around, and two within groups do not. Nodes of one group are
    alike, and nodes of different groups are not.
    """
    a, b = np.triu_indices(NODES, 1)
    inside = a // GROUP == b // GROUP
    place = np.where(inside, np.cumsum(inside) - 1, np.cumsum(~inside) - 1)
    # Each class has three pairs within groups, and four between them.
    marks = place // np.where(inside, 3, 4) == np.arange(CLASSES)[:, None]
    heights = np.where(inside, WITHIN * (2 * marks - 1), ACROSS * marks)
    weights = np.zeros((CLASSES, NODES, NODES))
    weights[:, a, b] = weights[:, b, a] = heights * reads / 2

    def records(name: str, each: int) -> Data:
        y = np.tile(np.arange(CLASSES), each)
        x = np.zeros((len(y), NODES, NODES + 4), np.float32)
        x[:, a, b] = x[:, b, a] = (marks & inside)[y]
        group = np.repeat(np.eye(2), 2, axis=1)[np.arange(NODES) // GROUP]
        x[..., NODES:] = group * rng.uniform(0.5, 1, (len(y), NODES, 4))
        return Data(name, Modality.GRAPH, x, y)

    def query(x: NDArray[Any]) -> NDArray[Any]:
        z = np.einsum("nij,cij->nc", np.asarray(x, np.float64)[..., :NODES], weights)
        out = np.exp(z - z.max(1, keepdims=True))
        return np.asarray(out / out.sum(1, keepdims=True))

    def grad(x: NDArray[Any], y: NDArray[Any]) -> NDArray[Any]:
        error = query(x) - np.eye(CLASSES)[np.asarray(y)]
        out = np.zeros(x.shape)
        out[..., :NODES] = np.einsum("nc,cij->nij", error, weights)
        return out

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        del data, seed
        return separate([model] * len(include))

    model = Model(
        "linked groups",
        Modality.GRAPH,
        query,
        Output.PROBABILITIES,
        CLASSES,
        grad=grad,
        fit=fit,
        offers=Access.LABELS | Access.SCORES | Access.GRADIENTS | Access.TRAIN,
    )
    return Scene(
        name="live" if reads else "dead",
        modality=Modality.GRAPH,
        model=model,
        train=records("train", 40),
        holdout=records("holdout", 8),
        fit=fit,
        extra={"test": records("test", 10), "public": records("public", 10)},
        parts=(SmallGraphLinks(LINKS, NODES),),
    )
