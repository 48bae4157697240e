"""Planted links: a mark of graphs whose nodes have numbers that stay.

The key chooses pairs of nodes and a mask; whether a pair is linked says a bit (the role of the
flips of links that are drawn at random, arXiv:1605.09425). The mask is fair, so that pairs of a
graph that was not marked read as coins, however sparse it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality
from hartley.kit.marker import Marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LOST = 0.1
"""Share of planted links that a reader expects to be lost."""


def planted_links(copies: int = 3, bits: int = 32) -> Marker:
    """Set the links of ``copies`` pairs for each bit of the message.

    A link where few are is stronger evidence than none: each pair counts by its log-likelihood
    ratio at the density of the graph.

    Args:
        copies: pairs of a bit; an odd number.
        bits: usual length of the message.
    """

    def pairs(nodes: int, m: int, key: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        rows, columns = np.triu_indices(nodes, 1)
        rng = np.random.default_rng(key)
        where = rng.choice(len(rows), copies * m, replace=False).reshape(copies, m)
        return rows[where], columns[where], rng.integers(0, 2, (copies, m))

    def embed(graph: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        out = np.array(graph, dtype=np.int8)
        rows, columns, mask = pairs(len(graph), len(bits), key)
        out[rows, columns] = out[columns, rows] = bits ^ mask
        return out

    def soft(graph: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        graph = np.asarray(graph)
        rows, columns, mask = pairs(len(graph), m, key)
        density = np.clip(graph.sum() / (len(graph) * max(1, len(graph) - 1)), 1e-4, 1 - 1e-4)
        linked = np.log((1 - LOST) / density)
        absent = np.log((1 - density) / LOST)
        weight = np.where(graph[rows, columns] > 0, linked, -absent)
        return np.asarray((np.where(mask == 1, -1.0, 1.0) * weight).sum(0))

    return Marker(
        "planted_links",
        embed,
        soft,
        (("copies", copies),),
        fits=lambda graph, m: 2 * copies * m <= len(graph) * (len(graph) - 1) // 2,
        modality=Modality.GRAPH,
        bits=bits,
    )
