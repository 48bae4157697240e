"""LinkTeller: a node is linked to another if its answer depends on the other's features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.inversion.link_inference import LinkInferenceBrief, link_inference

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=link_inference,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    paper="arXiv:2108.06504",
)
def link_teller(view: View[LinkInferenceBrief], rng: Rng) -> Outcome:
    """Score a pair by how much each node's answer changes with the other node's features.

    The attacker has the features and sends them with each query, those of one node a little larger.
    """
    del rng
    question = view.brief.question
    pairs = np.asarray(question.x)
    directed = np.concatenate([pairs, pairs[:, ::-1]])
    unchanged = np.stack([directed[:, 0], np.full(len(directed), -1)], 1)
    influence = np.abs(view.model.query(directed) - view.model.query(unchanged)).sum(1)
    guess = influence.reshape(2, -1).sum(0)
    linked = guess > np.median(guess)
    return Outcome(
        guess=guess, asset=Data("links", question.modality, question.x[linked], role="links")
    )
