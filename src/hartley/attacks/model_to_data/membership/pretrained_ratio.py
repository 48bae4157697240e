"""Pretrained ratio: compare a text's likelihood with that before fine-tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.tokens import claims, mean_over_tokens, statistics

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2205.12506",
    requires=("pretrained",),
)
def pretrained_ratio(view: View[MembershipBrief], rng: Rng) -> Outcome:
    """Subtract from a text's log-probability that of the model before it was fine-tuned.

    A text that is likely to any model was likely before fine-tuning too. No training is needed:
    the pretrained model is public, or the deployed one without its adapter.

    Raises:
        UsageError: the scene has no pretrained model.
    """
    del rng
    question, before = view.brief.question, view.brief.pretrained
    if before is None:
        raise UsageError("pretrained_ratio needs the log-probabilities before fine-tuning")
    stats = statistics(view.model, question.x)
    guess = mean_over_tokens(stats.log_probs, stats.real) - mean_over_tokens(before, stats.real)
    return Outcome(guess=guess, asset=claims(question, guess))
