"""WordNet: a graph network that classifies the subject of word senses; needs a pack."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe
from hartley.data import graph as data
from hartley.games.inversion.link_inference import HiddenLinks
from hartley.games.memorization.canaries import planted
from hartley.kit.graph.link_budget import NodeLinks
from hartley.kit.graph.node_classifier import Schedule
from hartley.models.graph import NodePipeline
from hartley.models.pipeline import CLOSED, OPEN
from hartley.scenes import _assemble_vision
from hartley.scenes._assemble_pooled import assemble

FLIPS = 2
"""Links of a node that evasion may flip; most nodes have two or fewer."""

PUBLIC, TEST, SPARE = 400, 800, 320
"""The attacker's labelled nodes, those that utility is measured on, and those of canaries."""


@recipe(modality=Modality.GRAPH, packs=("wordnet",), extras=("torch",))
def wordnet(
    *,
    records: Annotated[int, Range(2, 1280)] = 1000,
    hidden: Annotated[int, Range(1)] = 16,
    steps: Annotated[int, Range(0)] = 60,
    pairs: Annotated[int, Range(1)] = 300,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
) -> Scene:
    """A graph of 2,800 word senses, and a graph network trained on the subject of some of them.

    Records are indices of nodes. In the membership game the graph is public, and the secret is
    which labels the network was trained on. In link inference the graph is the secret.

    Args:
        records: size of the pool; half of it trained the deployed model.
        hidden: width of the hidden layer.
        steps: steps of the optimiser.
        pairs: number of links of a victim that a coin keeps or drops.
        seed: of the split and of the training.
        opened: also give attackers weights.
    """
    graph, subjects = data.mixed_senses()
    nodes = np.arange(len(graph))[:, None]
    senses = Data("senses of WordNet", Modality.GRAPH, nodes, subjects, graph.edges)
    half = records // 2
    sizes = {"train": half, "holdout": half, "public": PUBLIC, "test": TEST, "spare": SPARE}
    parts = _assemble_vision.deal(senses, sizes, seed)
    spare = parts.pop("spare")
    owner = NodePipeline(
        graph,
        len(data.MIXED),
        Schedule(hidden=hidden, steps=steps),
        offers=OPEN if opened else CLOSED,
    )
    return assemble(
        "wordnet",
        Modality.GRAPH,
        parts,
        owner,
        seed=seed,
        digested={"features": graph.features, "edges": graph.edges},
        extra={"canaries": replace(planted(spare, 8, length=1, seed=seed), edges=None)},
        holdings=(graph, HiddenLinks(pairs=pairs), NodeLinks(FLIPS, graph.features, graph.edges)),
        rounds={"memorization": 24},
        facts={"nodes": len(graph), "links": graph.edges.shape[1]},
    )
