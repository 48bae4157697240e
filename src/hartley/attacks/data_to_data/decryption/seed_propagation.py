"""Seed propagation: nodes that share named neighbours are likely to be the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Data, Form, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.deanonymisation import DeanonymisationBrief, deanonymisation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=deanonymisation,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    paper="arXiv:0903.3276",
    sweep={"eccentricity": (0.05, 0.5, 1.0)},
)
def seed_propagation(
    view: View[DeanonymisationBrief],
    rng: Rng,
    *,
    passes: Annotated[int, Range(1), Stronger.MORE] = 20,
    eccentricity: Annotated[float, Range(0), Stronger.NEITHER] = 0.5,
) -> Outcome:
    """Name the nodes whose neighbours have names, pass by pass, as Narayanan and Shmatikov do.

    A node and a name score the number of neighbours that they share, divided by the roots of both
    degrees. A node gets a name where both are the best of each other by a margin; all names but
    those of seeds are decided anew in each pass. Nodes without a name at the end get the best one
    that is left.

    Args:
        passes: over all nodes, at most.
        eccentricity: least difference of the best and the next best score, in deviations of the
            scores of a node.
    """
    del rng
    count, seeds = len(view.data), view.brief.seeds.x
    published, named = _adjacency(view.data, count), _adjacency(view.brief.named, count)
    names = np.full(count, -1)
    names[seeds[:, 0]] = seeds[:, 1]
    scores = _scores(published, named, names)
    for _ in range(passes):
        fresh = np.full(count, -1)
        row, column = scores.argmax(1), scores.argmax(0)
        sure = (_margins(scores) > eccentricity) & (column[row] == np.arange(count))
        fresh[sure] = row[sure]
        fresh[np.isin(fresh, seeds[:, 1])] = -1
        fresh[seeds[:, 0]] = seeds[:, 1]
        if np.array_equal(fresh, names):
            break
        names = fresh
        scores = _scores(published, named, names)
    names = _completed(names, scores)
    loot = np.stack([np.arange(count), names], 1)[names >= 0]
    return Outcome(
        guess=names[view.brief.question.x[:, 0]],
        asset=Data("names", Modality.GRAPH, loot, role="plaintext", form=Form.NODES),
    )


def _adjacency(graph: Data, count: int) -> Any:
    """Return the adjacency of a graph, sparse (count, count)."""
    from scipy.sparse import coo_array

    ends = np.asarray(graph.edges)
    both = np.concatenate([ends, ends[::-1]], 1)
    weights = np.ones(both.shape[1])
    return (coo_array((weights, (both[0], both[1])), shape=(count, count)).tocsr() > 0) * 1.0


def _scores(published: Any, named: Any, names: NDArray[Any]) -> NDArray[np.float64]:
    """Return (nodes, names) how many named neighbours both share, by the roots of their degrees."""
    rows = np.flatnonzero(names >= 0)
    shared = (published[:, rows] @ named[names[rows]]).toarray()
    degrees = [np.sqrt(np.maximum(1, graph.sum(1))) for graph in (published, named)]
    return np.asarray(shared / degrees[0][:, None] / degrees[1])


def _margins(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return (nodes,) how far the best name is ahead of the next, in deviations."""
    best = np.partition(scores, -2, axis=1)[:, -2:]
    return np.asarray((best[:, 1] - best[:, 0]) / (scores.std(1) + 1e-12))


def _completed(names: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.int64]:
    """Return the names, and for nodes without one the best assignment of the names that are left.

    A node that shares no named neighbour with any name that is left stays without.
    """
    from scipy.optimize import linear_sum_assignment

    out = names.astype(np.int64)
    nodes, left = np.flatnonzero(out < 0), np.setdiff1d(np.arange(len(out)), out)
    if len(nodes) and len(left):
        rest = scores[np.ix_(nodes, left)]
        for row, column in zip(*linear_sum_assignment(-rest), strict=True):
            if rest[row, column] > 0:
                out[nodes[row]] = left[column]
    return out
