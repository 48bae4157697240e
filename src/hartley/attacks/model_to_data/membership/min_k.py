"""Min-K %: members have no outliers, so only the least likely tokens of a text are listened to."""

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
    paper="arXiv:2310.16789",
)
def min_k(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Outcome:
    """Score a text by the mean log-probability of its least likely tokens.

    Args:
        share: part of the tokens that is read.
    """
    del rng
    asked = view.brief.question
    told = statistics(view.model, asked.x)
    guess = lowest(told.log_probs, told.real, share)
    return Outcome(guess=guess, asset=claims(asked, guess))
