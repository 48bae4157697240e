"""Degree linkage: a node is that of which the same number of links is known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Access, Data, Form, Modality, Outcome, Stronger, Term, View, attack
from hartley.games.decryption.deanonymisation import DeanonymisationBrief, deanonymisation
from hartley.kit.graph.degree_anonymity import anonymous_links

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=deanonymisation,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    paper="doi:10.1007/s00778-010-0210-x",
    adapts=True,
    sweep={"compares": ("degree", "neighbours")},
)
def degree_linkage(
    view: View[DeanonymisationBrief],
    rng: Rng,
    *,
    compares: Annotated[Literal["degree", "neighbours"], Stronger.NEITHER] = "neighbours",
) -> Outcome:
    """Name nodes by their number of links, or by those of their neighbours too, without any seed.

    Nodes and names are assigned so that the sum of differences is least; among equal ones at
    random. An adaptive attacker adds links to the named graph as the owner does to theirs (k-degree
    anonymity), so that both have the same degrees.

    Args:
        compares: ``degree``: how many links a node has; ``neighbours``: also how many each of its
            neighbours has, from the largest down.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    count, question = len(view.data), view.brief.question.x[:, 0]
    known, taken = view.brief.seeds.x[:, 1], view.brief.seeds.x[:, 0]
    names = np.setdiff1d(np.arange(count), known)
    nodes = np.setdiff1d(np.arange(count), taken)
    edges = view.brief.named.links
    for defense in view.defenses:
        if defense.name == "k_degree":
            raised = anonymous_links(edges, count, int(defense.params["k"]), rng)
            edges = edges if raised is None else raised
    joined = [_joined(graph, count) for graph in (view.data.links, edges)]
    width = max(int(one.sum(1).max()) for one in joined)
    published, named = (_signature(one, compares, width) for one in joined)
    far = cdist(published[nodes], named[names], "cityblock")
    row, column = linear_sum_assignment(far + 1e-6 * rng.random(far.shape))
    name_of = np.full(count, -1, dtype=np.int64)
    name_of[nodes[row]] = names[column]
    loot = np.stack([nodes[row], names[column]], 1)
    return Outcome(
        guess=name_of[question],
        asset=Data("names", Modality.GRAPH, loot, role="plaintext", form=Form.NODES),
    )


def _joined(edges: NDArray[Any], count: int) -> NDArray[np.bool_]:
    out = np.zeros((count, count), dtype=bool)
    first, second = edges
    out[first, second] = out[second, first] = True
    return out


def _signature(joined: NDArray[np.bool_], compares: str, width: int) -> NDArray[np.float64]:
    """Return the degree of each node (n, 1), or (n, 1 + width) with those of its neighbours."""
    degrees = joined.sum(1)
    if compares == "degree":
        return np.asarray(degrees[:, None], np.float64)
    near = np.sort(np.where(joined, degrees, 0), 1)[:, ::-1][:, :width]
    # The number of links counts as much as all of the neighbours' together.
    return np.asarray(np.hstack([degrees[:, None] * float(max(width, 1)), near]), np.float64)
