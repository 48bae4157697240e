"""The live and dead scenes of class unblocking: classes that a few records bring back, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Data, Modality, Scene
from hartley.games.tiny_shapes import tiny_shape
from hartley.kit.fleet import Training
from hartley.kit.graph.graph_classifier import Shape, Study
from hartley.kit.nets import dense
from hartley.models.class_tuning import ClassTuning
from hartley.models.gate import Gate
from hartley.models.graph import GraphPipeline
from hartley.models.pipeline import OPEN, Pipeline

if TYPE_CHECKING:
    from hartley.core.parts import Rng

CLASSES, NODES, WIDTH = 6, 4, 12
"""Classes, four of which are blocked; nodes of a graph and features of a node."""

GATE = Gate((0, 1, 2, 3), CLASSES, epochs=10)

SPREAD = 0.05
"""Deviation of the noise of a record."""


def scene(modality: Modality, rng: Rng, *, tells: bool) -> Scene:
    """Return a small trained scene whose records show their class, or are noise alone."""
    graphs = modality is Modality.GRAPH
    shape = (NODES, WIDTH) if graphs else tiny_shape(modality, "jailbreak", flat=64)
    middles = rng.uniform(0.2, 0.8, (CLASSES, *shape))

    def records(name: str, each: int) -> Data:
        y = np.tile(np.arange(CLASSES), each)
        x = middles[y if tells else 0 * y] + SPREAD * rng.standard_normal((len(y), *shape))
        if graphs:
            links = np.tile(1.0 - np.eye(NODES), (len(y), 1, 1))
            x = np.concatenate([links, x], 2)
        return Data(name, modality, np.clip(x, 0, 1).astype(np.float32), y)

    owner: Pipeline | GraphPipeline
    if graphs:
        form = Shape(NODES, WIDTH, CLASSES + 1)
        owner = GraphPipeline(form, Study(epochs=20, batch=32), OPEN, cached=False, gate=GATE)
    else:
        owner = Pipeline(
            dense(shape, CLASSES + 1, (32,)),
            Training(epochs=20, batch=16, lr=3e-3),
            modality=modality,
            offers=OPEN,
            cached=False,
            gate=GATE,
        )
    train = records("train", 30)
    everyone = np.ones((1, len(train)), dtype=bool)
    return Scene(
        name="live" if tells else "dead",
        modality=modality,
        model=owner.fit(train, everyone, 0).member(0),
        train=train,
        holdout=records("holdout", 10),
        fit=owner.fit,
        extra={"test": records("test", 20), "public": records("public", 10)},
        training=owner,
        parts=(GATE, ClassTuning()),
    )
