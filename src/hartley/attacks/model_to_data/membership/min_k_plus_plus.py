"""Min-K %++: Min-K % on log-probabilities that are normalised at every position."""

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
    sweep={"share": (0.1, 0.5, 1.0)},
)
def min_k_plus_plus(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Outcome:
    """Score a text by its lowest normalised log-probabilities.

    A token's log-probability is normalised by its mean and standard deviation over all tokens that
    the model could predict at that position. Training texts are at modes of that distribution.

    Args:
        share: share of the tokens that are used.
    """
    del rng
    question = view.brief.question
    stats = statistics(view.model, question.x, moments=True)
    guess = lowest(stats.calibrated, stats.real, share)
    return Outcome(guess=guess, asset=claims(question, guess))
