"""Link stealing: nodes whose answers lie close together are taken to be linked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.inversion.link_inference import LinkInferenceBrief, apart, link_inference

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=link_inference,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    paper="arXiv:2005.02131",
)
def link_stealing(
    view: View[LinkInferenceBrief],
    rng: Rng,
    *,
    metric: Literal[
        "correlation",
        "cosine",
        "euclidean",
        "sqeuclidean",
        "cityblock",
        "chebyshev",
        "braycurtis",
        "canberra",
    ] = "correlation",
) -> Outcome:
    """Score a pair by how little the answers about its two nodes differ.

    This is the paper's attack 0: no features, no known links, no training.

    Args:
        metric: distance between answers.
    """
    del rng
    asked = view.brief.question
    nodes, place = np.unique(asked.x, return_inverse=True)
    said = view.model.query(nodes[:, None])[place.reshape(asked.x.shape)]
    distances = apart(said[:, 0], said[:, 1])
    guess = -distances[metric]
    linked = guess > np.median(guess)
    return Outcome(guess=guess, asset=Data("links", asked.modality, asked.x[linked], role="links"))
