"""Records of graphs in the extraction game: what regions they are divided by, and a tiny graph."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Model, Scene
from hartley.games import nearest_learner
from hartley.kit.ensemble_of import separate
from hartley.kit.graph.link_budget import SmallGraphLinks
from hartley.kit.graph.node_classifier import Graph, nodes_of, smoothing

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

WIDE = 32
"""Directions of the features of nodes and their neighbours that regions are divided by."""


def described(scene: Scene, data: Data) -> NDArray[Any]:
    """Return rows of numbers (n, d) by which records are divided into regions.

    A node is described by the features of the nodes around it, as a network of two layers reads
    them: by the main directions of their means over neighbours of neighbours, with the length
    taken out. A small graph is described by the sum of its nodes' features. Other records are what
    they are.

    Args:
        scene: has a ``Graph`` where records are nodes, and ``SmallGraphLinks`` where they are small
            graphs.
        data: the records.
    """
    graph, small = scene.find(Graph), scene.find(SmallGraphLinks)
    if graph is not None:
        return _around(graph)[nodes_of(data.x, len(graph))[:, 0]]
    if small is not None:
        return np.asarray(data.x[:, :, small.nodes :].sum(1))
    return data.x


def _around(graph: Graph) -> NDArray[np.float64]:
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    smooth = smoothing(graph.edges, len(graph))
    means: Any = smooth @ (smooth @ csr_array(graph.features.astype(np.float64)))
    count = min(WIDE, min(means.shape) - 1)
    left, size, _ = svds(means, k=count, v0=np.ones(min(means.shape)))
    rows = left * size
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))


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
