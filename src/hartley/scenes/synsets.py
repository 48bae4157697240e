"""Synsets: a graph network that classifies the subject of small graphs of word senses."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe
from hartley.data import graph as data
from hartley.games.memorization.canaries import planted
from hartley.kit.graph.graph_classifier import Shape, Study
from hartley.kit.graph.link_budget import SmallGraphLinks
from hartley.models.graph import GraphPipeline
from hartley.models.pipeline import CLOSED, OPEN
from hartley.scenes import _assemble_vision
from hartley.scenes._assemble_pooled import assemble

NODES, WIDTH = 12, 32
"""Nodes of a record, and features of a node."""

FLIPS = 3
"""Pairs of nodes that evasion may flip, of 66; the usual graph has 11 links."""

PUBLIC, TEST, SPARE = 600, 1200, 64


@recipe(modality=Modality.GRAPH, packs=("wordnet",), extras=("torch",))
def synsets(
    *,
    records: Annotated[int, Range(2, 1336)] = 1200,
    hidden: Annotated[int, Range(1)] = 32,
    epochs: Annotated[int, Range(0)] = 30,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
) -> Scene:
    """Small graphs of WordNet, and a graph isomorphism network that was trained on half of them.

    Args:
        records: size of the pool; half of it trained the deployed model.
        hidden: width of the two hidden layers.
        epochs: passes over the training records.
        seed: of the split and of the training.
        opened: also give attackers weights.
    """
    half = records // 2
    sizes = {"train": half, "holdout": half, "public": PUBLIC, "test": TEST, "spare": SPARE}
    parts = _assemble_vision.deal(data.small_graphs(nodes=NODES, width=WIDTH), sizes, seed)
    owner = GraphPipeline(
        Shape(NODES, WIDTH, len(data.PLAIN), hidden),
        Study(epochs=epochs),
        offers=OPEN if opened else CLOSED,
    )
    return assemble(
        "synsets",
        Modality.GRAPH,
        parts,
        owner,
        seed=seed,
        holdings=(SmallGraphLinks(FLIPS, NODES),),
        extra={"canaries": _canaries(parts.pop("spare"), seed)},
        rounds={"memorization": 8},
        facts={"nodes a graph": NODES},
    )


def _canaries(spare: Data, seed: int) -> Data:
    """Return canaries: secrets in the features of a graph's central node, as words it never has."""
    canaries = planted(spare, 16, length=2, seed=seed)
    width = len(canaries.facts["cells"])
    return replace(canaries, facts={**canaries.facts, "cells": np.arange(NODES, NODES + width)})
