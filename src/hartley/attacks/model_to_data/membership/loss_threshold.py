"""Loss threshold: members tend to have a lower loss than non-members."""

from __future__ import annotations

from math import log
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.reference_models import likelihood
from hartley.core import ALL, Access, Outcome, Range, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership, access=Access.SCORES, term=Term.NOISE, modalities=ALL, paper="arXiv:1709.01604"
)
def loss_threshold(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    floor: Annotated[float, Range(0, 0.5, open_low=True)] = 1e-6,
) -> Outcome:
    """Guess that a record is a member if the model's loss on it is low.

    The loss depends on the model's declared output: −ln p of the label for probabilities and
    logits, the mean over the tokens for a text, minus the cosine for a pair.

    Args:
        floor: probabilities of a label below this are raised to it before the logarithm.
    """
    del rng
    question = view.brief.question
    guess = likelihood(view.model, question)
    if question.y is not None:
        guess = np.maximum(guess, log(floor))
    return Outcome(guess=guess, asset=claimed(question, guess > np.median(guess)))
