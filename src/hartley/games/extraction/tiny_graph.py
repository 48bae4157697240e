"""Live and dead scenes of extraction from a network on the nodes of a tiny graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Model, Scene
from hartley.games import nearest_learner
from hartley.kit.ensemble_of import separate
from hartley.kit.graph.node_classifier import Graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CLUSTERS, EACH, FEATURES = 16, 12, 24
"""Clusters of the tiny graph, nodes that each has in the pool, and features of a node."""


def tiny_graph(classes: int, rng: Rng, *, learns: bool) -> Scene:
    """Return a scene of nodes in clusters: links and features say in which cluster a node is.

    Args:
        classes: number of labels.
        rng: draws features and links.
        learns: whether a model's answers depend on its training records; then it answers by the
            nearest one.
    """
    shares = 3  # the pool, the attacker's nodes, and the nodes of the test
    place = np.tile(np.repeat(np.arange(CLUSTERS), EACH), shares)
    features = 2 * rng.random((CLUSTERS, FEATURES))[place]
    features += 0.05 * rng.standard_normal(features.shape)
    order = np.argsort(place, kind="stable").reshape(CLUSTERS, -1)
    # Each node is linked to two of its cluster.
    turned = [np.stack([order, np.roll(order, step, axis=1)]).reshape(2, -1) for step in (1, 2)]
    graph = Graph(features.astype(np.float32), np.concatenate(turned, axis=1).astype(np.int64))
    base = nearest_learner.trainer(Modality.GRAPH, classes, learns=learns)

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        trained = base(replace(data, x=graph.features[data.x[:, 0]]), include, seed)
        return separate([_of_nodes(trained.member(k), graph, fit) for k in range(trained.size)])

    def part(name: str, k: int) -> Data:
        nodes = np.arange(k * CLUSTERS * EACH, (k + 1) * CLUSTERS * EACH)[:, None]
        labels = rng.integers(0, classes, len(nodes))
        return Data(name, Modality.GRAPH, nodes, labels, edges=graph.edges)

    pool = part("pool", 0)
    return Scene(
        name="live" if learns else "dead",
        modality=Modality.GRAPH,
        model=fit(pool, np.ones((1, len(pool)), dtype=bool), 0).member(0),
        train=pool,
        fit=fit,
        extra={"pool": pool, "public": part("public", 1), "test": part("test", 2)},
        parts=(graph,),
    )


def _of_nodes(model: Model, graph: Graph, fit: Fit) -> Model:
    """Return a model that reads the features of nodes as one that reads their numbers."""
    return model.with_(query=lambda x: model.query(graph.features[np.asarray(x)[:, 0]]), fit=fit)
