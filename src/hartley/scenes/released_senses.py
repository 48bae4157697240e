"""Released senses: a part of WordNet without names, beside a copy with names; needs a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import graph as data
from hartley.games.decryption.deanonymisation import ReleasedGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray


@recipe(modality=Modality.GRAPH, packs=("wordnet",), extras=("torch",))
def released_senses(
    *,
    links: Annotated[int, Range(1), Stronger.MORE] = 3,
    overlap: Annotated[float, Range(0, 1), Stronger.MORE] = 0.9,
    seeds: Annotated[int, Range(0), Stronger.MORE] = 40,
) -> Scene:
    """Word senses that have three links or more among themselves, published without names.

    Args:
        links: least number of links of a sense to others of the graph (its core).
        overlap: the chance of a link to be in the owner's copy, and in the attacker's.
        seeds: senses whose name the attacker knows.
    """
    whole, _ = data.mixed_senses()
    edges = core(np.asarray(whole.edges), len(whole), links)
    nodes, renumbered = np.unique(edges, return_inverse=True)
    graph = ReleasedGraph(renumbered.reshape(2, -1), len(nodes), overlap, seeds)
    return Scene(
        name="released_senses",
        modality=Modality.GRAPH,
        parts=(graph,),
        facts={"nodes": len(nodes), "links": edges.shape[1]},
    )


def core(edges: NDArray[Any], nodes: int, links: int) -> NDArray[np.int64]:
    """Return the links (2, m) among nodes that have at least this many of these links."""
    left = np.unique(np.sort(edges, axis=0), axis=1)
    while left.size:
        degrees = np.bincount(left.reshape(-1), minlength=nodes)
        strong = (degrees[left] >= links).all(0)
        if strong.all():
            break
        left = left[:, strong]
    return np.asarray(left, dtype=np.int64)
