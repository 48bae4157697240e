"""Deanonymisation: whose node is this, in a graph that was published without names?

The owner publishes a graph whose nodes are in a random order. The attacker has another graph of the
same nodes with their names, in which some links are missing and others are there, and knows the
names of a few nodes of the published one (seeds). For each node in question they say which name it
has. Every name but those of seeds is equally likely, so that the order of the nodes says nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Form,
    Modality,
    Range,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

NODES, DEGREE, LIVE_SEEDS = 120, 10, 24
"""Size of the live and dead scenes: nodes, links a node on average, and seeds."""


@dataclass(frozen=True, slots=True)
class ReleasedGraph:
    """A graph that is published without names, while others know a graph of the same nodes.

    Attributes:
        edges: (2, m) links between nodes 0..nodes−1.
        nodes: how many there are.
        overlap: the chance of a link to be in a copy of the graph. The attacker's copy and the
            owner's are drawn independently.
        seeds: nodes whose name the attacker knows.
        publish: (links of the owner's copy, rng) → links that are published in their place.
        related: False where the attacker's copy is of another graph, of as many random links.
    """

    edges: NDArray[Any]
    nodes: int
    overlap: float = 0.9
    seeds: int = 30
    publish: Callable[[NDArray[Any], Rng], NDArray[Any]] | None = None
    related: bool = True


def live(modality: Modality, rng: Rng) -> Scene:
    """Two equal random graphs, and many seeds."""
    return _scene("live", modality, rng, related=True)


def dead(modality: Modality, rng: Rng) -> Scene:
    """Two independent random graphs."""
    return _scene("dead", modality, rng, related=False)


@dataclass(frozen=True, slots=True)
class DeanonymisationBrief:
    """What an attacker of deanonymisation knows; the source of the view is the published graph.

    Attributes:
        question: its ``x`` (m, 1) are nodes of the published graph. The name of each answers, a
            node 0..n−1 of the named graph, or −1.
        named: the graph with names: its ``edges`` (2, m′) are between the names ``x`` (n, 1).
        seeds: ``x`` (s, 2) pairs of a node of the published graph and its name.
    """

    question: Data
    named: Data
    seeds: Data


@game(
    cls="decryption",
    flow=Flow.INTERACTION,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="node",
    live=live,
    dead=dead,
    brief=DeanonymisationBrief,
    modalities=(Modality.GRAPH,),
    unfit={
        "vision": "pictures have no links",
        "language": "texts have no links",
        "audio": "sounds have no links",
        "tabular": "rows of a table are linked by linkage",
        "paired": "pairs have no links",
    },
    requires=("released_graph",),
    paper="arXiv:0903.3276",
)
def deanonymisation(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 20,
    questions: Annotated[int, Range(1)] = 40,
) -> Deal:
    """Publish a graph under fresh names in each round; the attacker names nodes other than seeds.

    Args:
        rounds: releases, each with its own copies, names and seeds; each is one cluster.
        questions: nodes of a release that are asked about.

    Raises:
        UsageError: there are fewer nodes than seeds and questions.
    """
    graph = scene.part(ReleasedGraph)
    if graph.seeds + questions > graph.nodes:
        raise UsageError(
            f"seeds and questions must be at most the {graph.nodes} nodes of the graph, got "
            f"{graph.seeds} and {questions}"
        )
    return Deal(rounds=tuple(_round(scene, graph, questions, rng) for _ in range(rounds)))


def _round(scene: Scene, graph: ReleasedGraph, questions: int, rng: Rng) -> Round:
    links = np.asarray(graph.edges)
    if not graph.related:
        links = random_links(graph.nodes, links.shape[1], rng)
    known = _copy(links, graph.overlap, rng)
    owned = _copy(np.asarray(graph.edges), graph.overlap, rng)
    released = owned if graph.publish is None else graph.publish(owned, rng)
    place = rng.permutation(graph.nodes)  # of each name in the published graph
    names = rng.permutation(graph.nodes)[: graph.seeds + questions]
    seeds, hidden = names[: graph.seeds], names[graph.seeds :]
    # Seeds have the last names, so that the names in question are the first ones, all as likely.
    left = graph.nodes - graph.seeds
    number = np.argsort(np.concatenate([np.setdiff1d(np.arange(graph.nodes), seeds), seeds]))
    nodes = np.arange(graph.nodes)[:, None]
    view = View(
        source=Data(
            "published graph",
            Modality.GRAPH,
            nodes,
            edges=_shuffled(place[released], rng),
            role="ciphertext",
        ),
        brief=DeanonymisationBrief(
            question=Data("nodes", Modality.GRAPH, place[hidden][:, None], role="records"),
            named=Data("named graph", Modality.GRAPH, nodes, edges=number[known], role="public"),
            seeds=Data(
                "seeds",
                Modality.GRAPH,
                np.stack([place[seeds], number[seeds]], 1),
                form=Form.NODES,
            ),
        ),
        defenses=scene.defenses,
    )
    return Round(view=view, truth=number[hidden].astype(np.int64), alphabet=left)


def random_links(nodes: int, count: int, rng: Rng) -> NDArray[np.int64]:
    """Return (2, count) distinct links of distinct nodes, all equally likely."""
    first, second = np.triu_indices(nodes, 1)
    rows = rng.choice(len(first), count, replace=False)
    return np.stack([first[rows], second[rows]]).astype(np.int64)


def _copy(links: NDArray[Any], overlap: float, rng: Rng) -> NDArray[Any]:
    return links[:, rng.random(links.shape[1]) < overlap]


def _shuffled(links: NDArray[Any], rng: Rng) -> NDArray[np.int64]:
    """Return links in an order, and each with its ends in an order, that say nothing of names."""
    mixed = np.sort(links, axis=0)[:, rng.permutation(links.shape[1])]
    return np.asarray(mixed, dtype=np.int64)


def _scene(name: str, modality: Modality, rng: Rng, *, related: bool) -> Scene:
    links = random_links(NODES, NODES * DEGREE // 2, rng)
    graph = ReleasedGraph(links, NODES, overlap=1.0, seeds=LIVE_SEEDS, related=related)
    return Scene(name=name, modality=modality, parts=(graph,))
