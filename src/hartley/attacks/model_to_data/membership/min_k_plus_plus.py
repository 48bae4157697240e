"""Min-K %++: a token counts by how far it stands above what the model expected at that place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.tokens import claims, lowest, statistics

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2404.02936",
)
def min_k_plus_plus(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Outcome:
    """Score a text by its lowest log-probabilities, each in units of the model's own law there.

    A token's log-probability less its mean, over its standard deviation, both under what the model
    says of every token that could stand in its place: a text that was trained on sits at a mode.

    Args:
        share: part of the tokens that is read.
    """
    del rng
    asked = view.brief.question
    told = statistics(view.model, asked.x, moments=True)
    guess = lowest(told.calibrated, told.real, share)
    return Outcome(guess=guess, asset=claims(asked, guess))
