"""Zlib ratio: compare a text's log-probability with its size after zlib compression."""

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
    sweep={"whole": (False,)},
)
def zlib_ratio(view: View[MembershipBrief], rng: Rng, *, whole: bool = True) -> Outcome:
    """Divide a text's log-probability by its number of bytes after zlib compression.

    A repetitive text is likely to every model; the compressed size shows that without training.

    Args:
        whole: sum the log-probability over the text. Else take its mean over the tokens, as in the
            paper, which favours the shorter of two texts with equal log-probability per byte.
    """
    del rng
    question = view.brief.question
    stats = statistics(view.model, question.x)
    log_probs = stats.log_probs.sum(1)
    guess = (log_probs if whole else log_probs / stats.real.sum(1).clip(1)) / compressed(question)
    return Outcome(guess=guess, asset=claims(question, guess))
