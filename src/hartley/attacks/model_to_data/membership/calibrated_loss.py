"""Calibrated loss: the loss of a record minus its mean loss on models not trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data import reference_models
from hartley.core import ALL, Access, Outcome, Range, Stronger, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES | Access.TRAIN,
    term=Term.NOISE,
    modalities=ALL,
    paper="arXiv:2111.08440",
    adapts="trains",
)
def calibrated_loss(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(2, 512), Stronger.MORE] = 64,
) -> Outcome:
    """Guess by how much lower the victim's loss is than that of models not trained on the record.

    A difficult record has a high loss even if the victim was trained on it. The loss of the
    reference models measures the difficulty, which is subtracted.

    Args:
        references: number of reference models, each trained on a random half of the records.
    """
    del rng
    question = view.brief.question
    fleet = reference_models.references(view, references)
    without = ~fleet.include
    difficulty = np.where(without, fleet.likelihood(question), 0).sum(0) / np.maximum(
        without.sum(0), 1
    )
    guess = reference_models.likelihood(view.model, question) - difficulty
    return Outcome(guess=guess, asset=claimed(question, guess > np.median(guess)))
