"""A copy of a graph network, trained on the answers of the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Modality, Model
from hartley.kit.graph.graph_classifier import Shape, Study
from hartley.kit.graph.node_classifier import Graph, Schedule
from hartley.models.graph import GraphPipeline, NodePipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

OPEN = Access.LABELS | Access.SCORES | Access.WEIGHTS
"""What a thief may use of a copy."""


def copy_of_nodes(
    graph: Graph,
    nodes: NDArray[Any],
    answers: NDArray[Any],
    seed: int,
    *,
    hidden: int = 16,
    steps: int = 100,
) -> Model:
    """Train a graph convolutional network to answer about nodes as the original did.

    Args:
        graph: features and links that the copy reads.
        nodes: (n, 1) nodes that the original answered.
        answers: (n, classes) what it answered, rows that sum to 1.
        seed: of the training.
        hidden: width of the hidden layer.
        steps: steps of the optimiser.
    """
    owner = NodePipeline(
        graph, answers.shape[1], Schedule(hidden=hidden, steps=steps), offers=OPEN, cached=False
    )
    return _trained(owner, Data("queried nodes", Modality.GRAPH, nodes, answers), seed)


def copy_of_graphs(
    records: NDArray[Any], answers: NDArray[Any], seed: int, *, hidden: int = 32, epochs: int = 40
) -> Model:
    """Train an isomorphism network to answer about small graphs as the original did.

    Args:
        records: (n, nodes, nodes + features) graphs that the original answered.
        answers: (n, classes) what it answered, rows that sum to 1.
        seed: of the training.
        hidden: width of the hidden layers.
        epochs: passes over the records.
    """
    places = records.shape[1]
    shape = Shape(places, records.shape[2] - places, answers.shape[1], hidden)
    owner = GraphPipeline(shape, Study(epochs=epochs), offers=OPEN, cached=False)
    return _trained(owner, Data("queried graphs", Modality.GRAPH, records, answers), seed)


def _trained(owner: NodePipeline | GraphPipeline, data: Data, seed: int) -> Model:
    model = owner.fit(data, np.ones((1, len(data)), dtype=bool), seed).member(0)
    return model.with_(facts={**model.facts, "records asked": len(data)})


def nearest_links(features: NDArray[Any], nodes: NDArray[Any], each: int) -> NDArray[np.int64]:
    """Return links (2, m) of each node to those with the likest features, each link once.

    Args:
        features: (N, F) of all nodes.
        nodes: (n,) nodes to link among one another.
        each: links that a node asks for.
    """
    rows = np.asarray(features, np.float32)[nodes]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    each = min(each, len(nodes) - 1)
    if each < 1:
        return np.zeros((2, 0), np.int64)
    ends = []
    for at in range(0, len(nodes), 512):
        alike = rows[at : at + 512] @ rows.T
        alike[np.arange(len(alike)), at + np.arange(len(alike))] = -np.inf
        ends.append(np.argpartition(-alike, each - 1, axis=1)[:, :each])
    start = np.repeat(np.arange(len(nodes)), each)
    pairs = np.sort(np.stack([nodes[start], nodes[np.concatenate(ends).reshape(-1)]]), axis=0)
    return np.asarray(np.unique(pairs, axis=1), dtype=np.int64)
