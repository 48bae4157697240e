"""Attribute inference by confidence: the value under which the model is surest of the label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.games.inversion.attribute_inference import (
    AttributeInferenceBrief,
    attribute_inference,
    candidates,
    filled,
)

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=attribute_inference,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2012.03404",
)
def attribute_confidence(view: View[AttributeInferenceBrief], rng: Rng) -> Outcome:
    """Of the values under which the model is right, name the one of which it is surest.

    Where it is right under none, name the one under which it is least sure of what it says (the
    confidence score-based attack, CSMIA).
    """
    del rng
    asked = view.brief.question
    table = candidates(view.brief)
    m, values = table.shape[:2]
    said = view.model.query(table.reshape(m * values, -1)).reshape(m, values, -1)
    right = said.argmax(2) == asked.labels[:, None]
    sure = said.max(2)
    guess = np.where(
        right.any(1), np.where(right, sure, -1).argmax(1), np.where(right, 2, sure).argmin(1)
    )
    return Outcome(guess=guess, asset=filled(view.brief, guess))
