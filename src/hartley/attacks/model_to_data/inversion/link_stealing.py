"""Link stealing: nodes with similar answers are probably linked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.inversion.link_inference import (
    LinkInferenceBrief,
    answer_distances,
    link_inference,
)

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=link_inference,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    paper="arXiv:2005.02131",
    sweep={"metric": ("cosine", "euclidean", "cityblock", "chebyshev", "canberra")},
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
    """Score a pair by the distance between the answers about its two nodes.

    This is attack 0 of the paper, which uses no features, no known links and no training.

    Args:
        metric: distance between answers.
    """
    del rng
    question = view.brief.question
    nodes, positions = np.unique(question.x, return_inverse=True)
    answers = view.model.query(nodes[:, None])[positions.reshape(question.x.shape)]
    distances = answer_distances(answers[:, 0], answers[:, 1])
    guess = -distances[metric]
    linked = guess > np.median(guess)
    return Outcome(
        guess=guess, asset=Data("links", question.modality, question.x[linked], role="links")
    )
