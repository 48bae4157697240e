"""What a record is described by where the extraction game divides records into regions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Form, Scene
from hartley.kit.graph.link_budget import SmallGraphLinks
from hartley.kit.graph.node_classifier import Graph, nodes_of, smoothing
from hartley.kit.language.bags import Bags

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDE = 32
"""Main directions that nodes and texts are described by."""

WORDS = Bags(words=4096, pairs=0)
"""How words of a text are counted."""


def described(scene: Scene, data: Data) -> NDArray[Any]:
    """Return rows of numbers (n, d) by which records are divided into regions.

    A node is described by the features of the nodes around it, as a network of two layers reads
    them; a text by its words, of which rare ones count more. Of both the main directions are taken,
    with the length taken out. A small graph is described by the sum of its nodes' features. Other
    records are what they are.

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
    if data.form is Form.TEXT:
        bags = WORDS(data.x).astype(np.float64)
        rarity = np.log((1 + len(bags)) / (1 + (bags > 0).sum(0)))
        return _directions(bags * rarity)
    return data.x


def _around(graph: Graph) -> NDArray[np.float64]:
    from scipy.sparse import csr_array

    smooth = smoothing(graph.edges, len(graph))
    return _directions(smooth @ (smooth @ csr_array(graph.features.astype(np.float64))))


def _directions(rows: Any) -> NDArray[np.float64]:
    """Return rows (n, ≤ WIDE) of length 1 in the main directions of rows (n, d)."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    count = min(WIDE, min(rows.shape) - 1)
    left, size, _ = svds(csr_array(rows), k=count, v0=np.ones(min(rows.shape)))
    out = left * size
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))
