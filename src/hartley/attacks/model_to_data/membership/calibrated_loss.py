"""Calibrated loss: a record's loss less what it costs models that never saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data import reference_models
from hartley.core import ALL, Access, Outcome, Range, Term, View, attack
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
    view: View[MembershipBrief], rng: Rng, *, references: Annotated[int, Range(2, 512)] = 64
) -> Outcome:
    """Guess by how much lower the victim's loss on a record is than that of models without it.

    A hard record has a high loss in the training set too; what is left when its difficulty is
    taken off speaks of membership.

    Args:
        references: reference models, each trained on a random half of the records; those that did
            not see a record say how hard it is.
    """
    del rng
    asked = view.brief.question
    fleet = reference_models.references(view, references)
    without = ~fleet.include
    usual = np.where(without, fleet.likelihood(asked), 0).sum(0) / np.maximum(without.sum(0), 1)
    guess = reference_models.likelihood(view.model, asked) - usual
    return Outcome(guess=guess, asset=claimed(asked, guess > np.median(guess)))
