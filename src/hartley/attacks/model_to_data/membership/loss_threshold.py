"""Loss threshold: members tend to have a lower loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import ALL, Access, Data, Move, Outcome, View, attack
from hartley.games.membership import membership
from hartley.kit.reference import confidence

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(game=membership, needs=Access.SCORES, moves=Move.NOISE, fits=ALL, paper="arXiv:1709.01604")
def loss_threshold(view: View, rng: Rng, *, floor: float = 1e-6) -> Outcome:
    """Guess that a record is a member when the model's loss on it is low.

    Args:
        floor: probabilities below this are raised to it before the logarithm.
    """
    del rng
    asked = view.question
    assert asked is not None
    if asked.y is None:
        # A text is its own label: the mean log-probability of its tokens.
        loss = -confidence(view.model, asked)
    else:
        scores = view.model.query(asked.x)
        loss = -np.log(np.maximum(scores[np.arange(len(asked)), asked.y], floor))
    claimed = loss < np.median(loss)
    labels = None if asked.y is None else asked.y[claimed]
    return Outcome(
        guess=-loss,
        asset=Data("claimed members", asked.modality, asked.x[claimed], labels),
    )
