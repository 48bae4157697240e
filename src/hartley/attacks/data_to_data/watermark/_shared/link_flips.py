"""Flips of links of a graph (v, v) in an order, as many as a quality floor allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Form, Modality, Outcome

if TYPE_CHECKING:
    from numpy.typing import NDArray


def linked(graph: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the two nodes of each link, the smaller number first."""
    rows, columns = np.nonzero(np.triu(graph, 1))
    return rows, columns


def flipped(graph: NDArray[Any], pairs: NDArray[Any]) -> NDArray[np.int8]:
    """Return a graph with the links of pairs (n, 2) made or taken away."""
    out = np.array(graph, dtype=np.int8)
    rows, columns = pairs[:, 0], pairs[:, 1]
    out[rows, columns] = out[columns, rows] = 1 - out[rows, columns]
    return out


def largest(
    holds: Callable[[Any], bool], graph: NDArray[Any], pairs: NDArray[Any], steps: int
) -> NDArray[np.int8]:
    """Return the graph with the most of the first pairs flipped that a floor allows.

    Args:
        holds: whether a candidate is above the floor.
        graph: before.
        pairs: (n, 2) different pairs of nodes, in the order in which they are flipped.
        steps: bisections of their number.
    """
    low, high = 0, len(pairs)
    if holds(whole := flipped(graph, pairs)):
        return whole
    for _ in range(steps):
        middle = (low + high) // 2
        if holds(flipped(graph, pairs[:middle])):
            low = middle
        else:
            high = middle
    return flipped(graph, pairs[:low])


def recurring(others: NDArray[Any]) -> NDArray[np.float64]:
    """Return how much more of some graphs a pair is linked in than its nodes' degrees say, in bits.

    Pairs that are linked in many of them, while their nodes have few links, were planted; so were,
    the other way round, pairs that never are while their nodes have many links (negative).
    """
    graphs = np.asarray(others, dtype=np.float64)
    count, nodes = len(graphs), graphs.shape[1]
    degrees = graphs.sum(2).mean(0)
    rate = np.clip(np.outer(degrees, degrees) / max(1.0, degrees.sum()), 1 / nodes**2, 0.9)
    linked_in = graphs.sum(0)
    more = linked_in * np.log2(np.maximum(linked_in, 1) / (count * rate))
    never = np.where(linked_in == 0, -count * np.log2(1 / (1 - rate)), 0.0)
    return np.asarray(np.where(linked_in > 0, more, never))


def as_loot(graph: NDArray[Any], role: str = "cleaned graph") -> Outcome:
    """Return a graph as what an attack hands in."""
    data = Data("graph", Modality.GRAPH, graph[None], role=role, form=Form.GRAPHS)
    return Outcome(asset=data)
