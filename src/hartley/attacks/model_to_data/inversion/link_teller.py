"""LinkTeller: a node whose answer moves when another's features move is linked to it."""

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
    """Score a pair by how far each node's answer moves with the other's features.

    Who holds the features sends them with his question, those of one node a little larger.
    """
    del rng
    asked = view.brief.question
    pairs = np.asarray(asked.x)
    both = np.concatenate([pairs, pairs[:, ::-1]])
    still = np.stack([both[:, 0], np.full(len(both), -1)], 1)
    moved = np.abs(view.model.query(both) - view.model.query(still)).sum(1)
    guess = moved.reshape(2, -1).sum(0)
    linked = guess > np.median(guess)
    return Outcome(guess=guess, asset=Data("links", asked.modality, asked.x[linked], role="links"))
