"""Random members: the control of chains in which records are handed on by membership."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed
from hartley.kit.language.tokens import claims

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(
        *(Modality.VISION, Modality.LANGUAGE, Modality.AUDIO, Modality.GRAPH),
        *(Modality.TABULAR, Modality.PAIRED),
    ),
    paper="hartley",
    control=True,
)
def random_members(view: View[MembershipBrief], rng: Rng) -> Outcome:
    """Claim a random half of the records in question, and ask nothing.

    It brings home as many records as an attack that asks does, in a random order.
    """
    question = view.brief.question
    guess = rng.permutation(len(question)).astype(float)
    if question.modality is Modality.LANGUAGE:
        return Outcome(guess=guess, asset=claims(question, guess))
    return Outcome(guess=guess, asset=claimed(question, guess.argsort()[-(len(question) // 2) :]))
