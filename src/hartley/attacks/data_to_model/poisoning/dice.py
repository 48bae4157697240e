"""DICE: take links within classes away, and make links between them, at random."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.linear_surrogate import (
    Surrogate,
    adjacency_of,
    edges_of,
    makeable,
)
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.poisoning.link_poisoning import LinkPoisoningBrief, link_poisoning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=link_poisoning,
    access=Access.POISON,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    paper="arXiv:1608.00375",
    loot=Loot.POISON,
    sweep={"removed": (0.0, 0.5), "alike": (0.0, 0.05, 0.35)},
)
def dice(
    view: View[LinkPoisoningBrief],
    rng: Rng,
    *,
    removed: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.5,
    alike: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.0,
    blind: bool = False,
) -> Outcome:
    """Disconnect internally, connect externally: links within classes go, links between them come.

    The classes of nodes without a label are guessed by a linear graph network. Where classes are
    drawn for some nodes, these lose links to other classes, and get links to nodes of theirs. The
    name and the rule are the paper's, which hides communities; against graph networks it is the
    baseline of arXiv:1902.08412.

    Args:
        removed: share of the flips that take links away.
        alike: make links only between nodes that are more alike than this share of the links.
        blind: flip pairs of any nodes, as a control.
    """
    brief, known = view.brief, view.data
    nodes = np.asarray(known.x)[:, 0].astype(np.int64)
    surrogate = Surrogate.of(
        brief.features, nodes, known.labels, brief.classes, rng, steps=100, width=64
    )
    adjacency = adjacency_of(known.links, len(brief.features))
    classes = surrogate.predicted(adjacency)
    wanted = np.zeros(adjacency.shape, dtype=bool)
    worse = np.zeros(adjacency.shape, dtype=bool)
    if brief.targets is None or blind:
        same = classes[:, None] == classes
        wanted, worse = ~same | blind, same | blind
    else:
        labelled = np.zeros(len(classes), dtype=bool)
        labelled[nodes] = True
        for node, target in zip(np.asarray(brief.question.x)[:, 0], brief.targets, strict=True):
            wanted[node] = (classes == target) & labelled
            worse[node] = classes != target
        wanted, worse = wanted | wanted.T, worse | worse.T
    taken = _some(np.triu(worse & (adjacency > 0), 1), round(removed * brief.flips), rng)
    free = wanted & (adjacency == 0) & makeable(view, adjacency, alike)
    fresh = _some(np.triu(free, 1), brief.flips - len(taken), rng)
    for a, b in (*taken, *fresh):
        adjacency[a, b] = adjacency[b, a] = 1 - adjacency[a, b]
    return Outcome(
        asset=replace(known, name="flipped links", edges=edges_of(adjacency), role="poison")
    )


def _some(allowed: NDArray[np.bool_], count: int, rng: Rng) -> NDArray[np.int64]:
    """Draw up to ``count`` of the marked pairs (k, 2)."""
    pairs = np.argwhere(allowed)
    out: NDArray[np.int64] = pairs[rng.permutation(len(pairs))[:count]]
    return out
