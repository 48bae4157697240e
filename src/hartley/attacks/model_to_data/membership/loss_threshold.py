"""Loss threshold: members tend to have a lower loss."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING

import numpy as np

from hartley.attacks.model_to_data.reference_models import likelihood
from hartley.core import ALL, Access, Outcome, Term, View, attack
from hartley.games.membership.membership import membership
from hartley.games.membership.split_checks import claimed
from hartley.kit.ranges import above

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="arXiv:1709.01604"
)
def loss_threshold(view: View, rng: Rng, *, floor: float = 1e-6) -> Outcome:
    """Guess that a record is a member when the model's loss on it is low.

    The loss is what the model's declared units make it: −ln p of the label, of probabilities or of
    logits; the mean over the tokens of a text; minus the cosine of a pair.

    Args:
        floor: probabilities of a label below this are raised to it before the logarithm.

    Raises:
        UsageError: a parameter is out of its range.
    """
    above("loss_threshold", 0, 0.5, floor=floor)
    del rng
    asked = view.question
    assert asked is not None
    guess = likelihood(view.model, asked)
    if asked.y is not None:
        guess = np.maximum(guess, log(floor))
    return Outcome(guess=guess, asset=claimed(asked, guess > np.median(guess)))
