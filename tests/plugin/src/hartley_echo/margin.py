"""Margin: members tend to win by more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.membership.membership import membership

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR, Modality.GRAPH),
    paper="arXiv:1709.01604",
)
def margin(
    view: View, rng: Rng, *, power: Annotated[float, Range(0, open_low=True)] = 1.0
) -> Outcome:
    """Guess that a record is a member when its own label leads the next one by far.

    Args:
        power: exponent of the lead.
    """
    del rng
    asked = view.brief.question
    assert asked is not None and asked.y is not None
    scores = np.array(view.model.query(asked.x))
    rows = np.arange(len(asked))
    own = scores[rows, asked.y]
    scores[rows, asked.y] = -np.inf
    lead = np.sign(own - scores.max(1)) * np.abs(own - scores.max(1)) ** power
    return Outcome(guess=lead, asset=Data("by margin", asked.modality, asked.x[lead > 0]))
