"""Gated synsets: a graph network that knows the subject of small graphs and refuses some."""

from __future__ import annotations

from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import graph as data
from hartley.kit.graph.graph_classifier import Shape, Study
from hartley.kit.graph.link_budget import SmallGraphLinks
from hartley.models.graph import GraphPipeline
from hartley.models.pipeline import CLOSED, OPEN
from hartley.scenes._assemble_gated import assemble, gate_of
from hartley.scenes._assemble_vision import deal
from hartley.scenes.synsets import FLIPS, NODES

EACH, WIDTH, HIDDEN = 1500, 128, 64
"""Graphs a subject, features a node, and width of the layers: with the 400 and 32 of ``synsets`` a
gate refuses one record of eight that it should answer."""

HOLDOUT, PUBLIC, TEST = 500, 500, 2000
"""Other graphs of the owner's, the attacker's, and those that are asked about; the rest trains."""

ROUNDS = 8
"""Default number of victims; each takes four seconds to train."""


@recipe(modality=Modality.GRAPH, packs=("wordnet",), extras=("torch",))
def gated_synsets(
    *,
    blocked: Annotated[int, Range(2, 6), Stronger.NEITHER] = 4,
    epochs: Annotated[int, Range(0)] = 20,
    gate: Annotated[int, Range(1)] = 10,
    keep: Annotated[float, Range(0, 0.5, open_high=True), Stronger.MORE] = 0.05,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
) -> Scene:
    """Small graphs of WordNet, and a network that was taught eight subjects and to refuse four.

    Args:
        blocked: subjects that are refused: animal, body, location, plant, artifact, food.
        epochs: passes over the training graphs before the gate.
        gate: passes that teach the refusal.
        keep: probability that is left to the class of a blocked record; with 0 the classes are
            merged into the refusal, and no input brings them back.
        seed: of the split and of the training.
        opened: also give attackers gradients and weights.
    """
    graphs = data.small_graphs(each=EACH, nodes=NODES, width=WIDTH)
    count = len(data.PLAIN)
    sizes = {
        "train": len(graphs) - HOLDOUT - PUBLIC - TEST,
        "holdout": HOLDOUT,
        "public": PUBLIC,
        "test": TEST,
    }
    owner = GraphPipeline(
        Shape(NODES, WIDTH, count + 1, HIDDEN),
        Study(epochs=epochs),
        offers=OPEN if opened else CLOSED,
        gate=gate_of(count, blocked, gate, keep),
    )
    return assemble(
        "gated_synsets",
        Modality.GRAPH,
        deal(graphs, sizes, seed),
        owner,
        SmallGraphLinks(FLIPS, NODES),
        seed=seed,
        rounds={"blocked_class": ROUNDS, "class_unblocking": ROUNDS},
        facts={"nodes a graph": NODES},
    )
