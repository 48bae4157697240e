"""GNN extraction: a copy of a network on a graph of which the attacker knows all or a part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.transfer import allowance
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit.answer_units import probabilities
from hartley.kit.graph.node_classifier import Graph
from hartley.models.clone import transfer_set
from hartley.models.graph_copy import copy_of_nodes, nearest_links

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.GRAPH,),
    paper="arXiv:2010.12751",
    requires=("graph",),
    adapts=True,
    loot=Loot.MODEL,
    light={"steps": 40},
)
def gnn_extraction(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    knows: Literal["all", "features", "links"] = "all",
    queries: Annotated[int, Range(0)] = 0,
    neighbours: Annotated[int, Range(1)] = 3,
    steps: Annotated[int, Range(1), Stronger.MORE] = 100,
    hidden: Annotated[int, Range(1)] = 16,
) -> Outcome:
    """Train a graph network on the victim's answers about nodes of its own graph.

    The paper sorts attacks by what the attacker knows of the graph. ``all``: its features and
    links. ``features``: links are rebuilt, between nodes with like features. ``links``: features
    are made up, so that a node is known by its place among the others.

    Args:
        knows: what the attacker knows of the graph.
        queries: number of queries; 0 means as many as the rules allow.
        neighbours: links that each node asks for, where links are rebuilt.
        steps: optimiser steps of the copy's training.
        hidden: width of the copy's hidden layer.
    """
    graph, model = view.brief.graph, view.model
    assert graph is not None  # the attack requires one
    if knows == "features":
        links = nearest_links(graph.features, np.arange(len(graph)), neighbours)
        graph = Graph(graph.features, links)
    elif knows == "links":
        graph = Graph(np.eye(len(graph), dtype=np.float32), np.asarray(graph.edges))
    nodes = transfer_set(view.brief.public.x, allowance(view, queries), rng, mix=False)
    answers = probabilities(np.asarray(model.query(nodes)), model.output, model.classes)
    seed = int(rng.integers(2**31))
    return Outcome(asset=copy_of_nodes(graph, nodes, answers, seed, hidden=hidden, steps=steps))
