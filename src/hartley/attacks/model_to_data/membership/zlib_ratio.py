"""Zlib ratio: how surprising a text is to the model, against how surprising it is to zlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.tokens import claims, compressed, statistics

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2012.07805",
)
def zlib_ratio(view: View[MembershipBrief], rng: Rng, *, whole: bool = True) -> Outcome:
    """Divide a text's log-probability by the bytes that zlib leaves of it.

    What repeats itself is likely to every model; zlib says so without having seen any text.

    Args:
        whole: of the whole text; else of its average token, as in the paper, which favours the
            shorter of two texts that are equally likely a byte.
    """
    del rng
    asked = view.brief.question
    told = statistics(view.model, asked.x)
    said = told.log_probs.sum(1)
    guess = (said if whole else said / told.real.sum(1).clip(1)) / compressed(asked)
    return Outcome(guess=guess, asset=claims(asked, guess))
