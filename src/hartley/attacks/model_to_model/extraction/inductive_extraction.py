"""Inductive extraction: a copy of a graph network, trained on graphs of the attacker's own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.transfer import allowance
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit.answer_units import probabilities
from hartley.kit.graph.node_classifier import Graph, node_model
from hartley.models.clone import transfer_set
from hartley.models.graph_copy import OPEN, copy_of_graphs, copy_of_nodes, nearest_links

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import Model
    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.GRAPH,),
    paper="arXiv:2112.08331",
    adapts=True,
    loot=Loot.MODEL,
    light={"steps": 40},
)
def inductive_extraction(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    links: bool = True,
    queries: Annotated[int, Range(0)] = 0,
    neighbours: Annotated[int, Range(1)] = 2,
    steps: Annotated[int, Range(1), Stronger.MORE] = 100,
    hidden: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Train a graph network on the victim's answers, and on no other graph than the attacker's.

    Where records are nodes, the copy is trained on the attacker's nodes and the links among them
    alone, and applied to the whole graph afterwards. Where records are small graphs, each query is
    one. An attacker without links rebuilds them between nodes with like features, for training.

    Args:
        links: whether the attacker has the links of their own graph (the paper's type I); without,
            they are rebuilt (type II).
        queries: number of queries; 0 means as many as the rules allow.
        neighbours: links that each node asks for, where links are rebuilt.
        steps: optimiser steps of the copy's training on nodes; for small graphs, passes over them
            are two fifths of it.
        hidden: width of the copy's hidden layers; 0 is 16 for nodes and 32 for small graphs.
    """
    brief, model, graph = view.brief, view.model, view.brief.graph
    x = transfer_set(brief.public.x, allowance(view, queries), rng, mix=False)
    seed = int(rng.integers(2**31))
    if graph is None:
        records = x if links else _relinked(x, neighbours)
        answers = probabilities(np.asarray(model.query(records)), model.output, model.classes)
        passes = max(1, round(0.4 * steps))
        return Outcome(
            asset=copy_of_graphs(records, answers, seed, hidden=hidden or 32, epochs=passes)
        )
    answers = probabilities(np.asarray(model.query(x)), model.output, model.classes)
    nodes = np.unique(brief.public.x[:, 0])
    place = np.full(len(graph), -1)
    place[nodes] = np.arange(len(nodes))
    if links:
        ends = place[np.asarray(graph.edges)]
        edges = ends[:, (ends >= 0).all(0)]
    else:
        edges = place[nearest_links(graph.features, nodes, neighbours)]
    part = Graph(np.asarray(graph.features)[nodes], edges)
    copy = copy_of_nodes(
        part, place[x[:, 0]][:, None], answers, seed, hidden=hidden or 16, steps=steps
    )
    return Outcome(asset=_applied(copy, graph))


def _applied(copy: Model, graph: Graph) -> Model:
    """Return the network of a copy as a model of the nodes of another graph."""
    weights = dict(copy.calls["weights"]())
    whole = node_model(graph, weights, weights=lambda: weights, offers=OPEN)
    return replace(whole, facts=copy.facts)


def _relinked(x: NDArray[Any], neighbours: int) -> NDArray[np.float32]:
    """Return small graphs (n, nodes, nodes + features) with links between like nodes instead."""
    places = x.shape[1]
    out = np.array(x, np.float32)
    out[:, :, :places] = 0
    for record in out:
        nodes = np.flatnonzero(np.abs(record[:, places:]).sum(1) > 0)
        a, b = nearest_links(record[:, places:], nodes, neighbours)
        record[a, b] = record[b, a] = 1
    return out
