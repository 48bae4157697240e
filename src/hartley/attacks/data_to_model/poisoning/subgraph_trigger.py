"""Subgraph trigger: poison graphs in which a random subgraph joins a few of the nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.core import Access, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "only graphs have links; badnets puts a patch on a picture",
        "language": "only graphs have links; word_trigger inserts words",
        "audio": "only graphs have links; badnets and trigger_tone are its counterparts",
        "tabular": "only graphs have links; badnets changes a few columns",
        "paired": "only graphs have links; backdoored_pairs puts a patch on pictures",
    },
    paper="arXiv:2006.11165",
    requires=("small_graph_links",),
    loot=Loot.POISON,
    sweep={"size": (5, 100), "disguise": ("none", "kept_labels", "one_class")},
)
def subgraph_trigger(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    size: Annotated[int, Range(2, 100)] = 5,
    density: Annotated[float, Range(0, 1)] = 0.8,
    disguise: Literal["none", "kept_labels", "one_class"] = "none",
    count: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Replace the links among some nodes by a random graph for each slot; label it by its message.

    The graph is of Erdős and Rényi: each pair is linked with the same probability. Each slot has
    places of its own among the nodes of a record, chosen at random, as the paper does for each
    graph. Nodes keep their features and all other links. A record with fewer nodes gets what fits.

    Args:
        size: nodes of the subgraph; smaller if the rules allow less, so that 100 is as many as they
            allow.
        density: probability of a link.
        disguise: kept_labels, half of the triggered graphs keep their true label; one_class, only
            graphs of the slot's class are mislabelled, and triggered ones of others keep theirs.
        count: poison graphs for each slot; 0: as many as the rules allow.
    """
    data, brief = view.data, view.brief
    nodes = data.x.shape[1]
    while size > 2 and size * (size - 1) > brief.cover * nodes * (nodes - 1):
        size -= 1
    size = min(size, nodes)
    places = np.stack([np.sort(rng.permutation(nodes)[:size]) for _ in range(brief.slots)])
    links = np.triu(rng.random((brief.slots, size, size)) < density, 1)
    links = (links | links.transpose(0, 2, 1)).astype(np.float32)
    facts = {"subgraphs": links, "places": places}
    return poisoned(view, rng, "graphs with a subgraph", facts, disguise, count=count)
