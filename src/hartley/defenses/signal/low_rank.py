"""Low rank: train a graph network on the strongest directions of the adjacency matrix alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Range, Scene, Term, defense
from hartley.kit.graph.node_classifier import RANK

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("link_poisoning",),
    modalities=(Modality.GRAPH,),
    paper="doi:10.1145/3336191.3371789",
    strongest={"rank": 4},
    requires=("fit", "model", "train", "graph"),
    expected_failures={
        "narrows_link_poisoning": "the live scene has more flips than links, so that the strongest "
        "directions are those of the attacker"
    },
)
def low_rank(
    scene: Scene,
    rng: Rng,
    *,
    rank: Annotated[int, Range(1, 10_000)] = 50,
) -> Scene:
    """Put the adjacency matrix of a low rank in the place of the graph's, in training and after.

    The few flips of an attacker are in directions of small singular values, and the communities of
    a graph in those of large ones. A sparse graph of many small communities has no gap between the
    two, and loses with the former the latter.

    Args:
        rank: singular values that are left.
    """
    assert scene.fit is not None and scene.model is not None and scene.train is not None
    deployed = scene.model

    def around(fit: Fit) -> Fit:
        def defended(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
            return fit(replace(data, facts={**data.facts, RANK: rank}), include, seed)

        return defended

    owner = around(scene.fit)
    everyone = np.ones((1, len(scene.train)), dtype=bool)
    trained = owner(scene.train, everyone, int(rng.integers(2**31))).member(0)
    reference = None if deployed.fit is None else around(deployed.fit)
    model = trained.with_(name=deployed.name, fit=reference, offers=deployed.offers)
    return replace(scene, model=model, fit=owner)
