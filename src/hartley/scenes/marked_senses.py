"""Marked graphs: parts of WordNet's graph of senses, marked by planted links; needs a pack."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Form, Modality, Range, Scene, Stronger, recipe, spawn
from hartley.data import graph as data
from hartley.kit.graph.planted_links import planted_links
from hartley.kit.marker import DetectionService, KeyUse

if TYPE_CHECKING:
    from numpy.typing import NDArray


@recipe(modality=Modality.GRAPH, packs=("wordnet",), extras=("torch",))
def marked_senses(
    *,
    items: Annotated[int, Range(3, 1000)] = 48,
    nodes: Annotated[int, Range(32, 1000)] = 400,
    bits: Annotated[int, Range(1, 256)] = 16,
    copies: Annotated[int, Range(1, 15)] = 3,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Neighbourhoods of 400 senses, each marked with 16 bits in the links of 48 pairs.

    Args:
        items: graphs; the neighbourhoods of random senses overlap.
        nodes: of a graph, numbered in a random order.
        bits: of the message.
        copies: pairs that say one bit.
        seed: of the neighbourhoods.
    """
    whole, _ = data.mixed_senses()
    near: list[list[int]] = [[] for _ in range(len(whole))]
    for a, b in whole.edges.T.tolist():
        near[a].append(b)
        near[b].append(a)
    rng = np.random.default_rng(spawn(seed, "marked senses"))
    graphs = np.stack([_around(near, nodes, rng) for _ in range(items)])
    carriers = Data("neighbourhoods", Modality.GRAPH, graphs, role="carriers", form=Form.GRAPHS)
    return Scene(
        name="marked_senses",
        modality=Modality.GRAPH,
        extra={"carriers": carriers},
        parts=(planted_links(copies, bits), DetectionService(), KeyUse(by_item=True)),
        facts={
            "graphs": items,
            "nodes": nodes,
            "links, on average": float(graphs.sum() / 2 / items),
        },
    )


def _around(near: list[list[int]], nodes: int, rng: Any) -> NDArray[np.int8]:
    """Return the adjacency of the first nodes that a walk from a random one reaches."""
    start = int(rng.integers(len(near)))
    order, waiting = [start], deque([start])
    visited = {start}
    while len(order) < nodes:
        if not waiting:  # another part of the graph
            fresh = int(rng.choice([n for n in range(len(near)) if n not in visited]))
            visited.add(fresh)
            order.append(fresh)
            waiting.append(fresh)
            continue
        for node in rng.permutation(near[waiting.popleft()]).tolist():
            if node not in visited and len(order) < nodes:
                visited.add(node)
                order.append(node)
                waiting.append(node)
    place = {node: k for k, node in enumerate(rng.permutation(order).tolist())}
    out = np.zeros((nodes, nodes), dtype=np.int8)
    for node, k in place.items():
        for other in near[node]:
            if other in place:
                out[k, place[other]] = out[place[other], k] = 1
    np.fill_diagonal(out, 0)
    return out
