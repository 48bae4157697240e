"""Min-K %: a text without very unlikely tokens is probably a member."""

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
    sweep={"share": (0.1, 0.5, 1.0)},
)
def min_k(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Outcome:
    """Score a text by the mean log-probability of its least likely tokens.

    Args:
        share: share of the tokens that are used.
    """
    del rng
    question = view.brief.question
    stats = statistics(view.model, question.x)
    guess = lowest(stats.log_probs, stats.real, share)
    return Outcome(guess=guess, asset=claims(question, guess))
