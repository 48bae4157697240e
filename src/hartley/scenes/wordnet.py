"""WordNet: a graph network that tells the subject of a word's sense, from its pack."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from hartley.core import Data, Modality, Range, Scene, recipe
from hartley.data import graph as data
from hartley.games.inversion.link_inference import HiddenLinks
from hartley.games.memorization.canaries import planted
from hartley.kit.graph.node_classifier import Schedule
from hartley.models.graph import NodePipeline
from hartley.models.pipeline import CLOSED, OPEN
from hartley.scenes import _assemble_vision
from hartley.scenes._assemble_pooled import assemble

PUBLIC, TEST, SPARE = 400, 800, 320
"""Labelled nodes of the attacker's own, those for utility, and those that canaries are made of."""


@recipe(modality=Modality.GRAPH, packs=("wordnet",))
def wordnet(
    *,
    records: Annotated[int, Range(2, 1280)] = 1000,
    hidden: Annotated[int, Range(1)] = 16,
    steps: Annotated[int, Range(0)] = 60,
    pairs: Annotated[int, Range(1)] = 300,
    seed: Annotated[int, Range(0)] = 0,
    opened: bool = False,
) -> Scene:
    """A graph of 2,800 word senses, and the graph net that learnt the subject of some of them.

    Records are node numbers: everybody sees the graph in the membership game, and whose labels
    were learnt is the secret. In the game of links the graph is the secret.

    Args:
        records: size of the pool; half of it trained the deployed model.
        hidden: width of the hidden layer.
        steps: steps of the optimiser.
        pairs: links of a victim whose existence is drawn by coin.
        seed: of the split and of the training.
        opened: also show attackers weights.
    """
    graph, subjects = data.mixed_senses()
    nodes = np.arange(len(graph))[:, None]
    every = Data("senses of WordNet", Modality.GRAPH, nodes, subjects, graph.edges)
    half = records // 2
    sizes = {"train": half, "holdout": half, "public": PUBLIC, "test": TEST, "spare": SPARE}
    parts = _assemble_vision.deal(every, sizes, seed)
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
        held={"features": graph.features, "edges": graph.edges},
        extra={"canaries": replace(planted(spare, 8, length=1, seed=seed), edges=None)},
        holdings=(graph, HiddenLinks(pairs=pairs)),
        rounds={"memorization": 24},
        facts={"nodes": len(graph), "links": graph.edges.shape[1]},
    )
