"""Reference ratio: compare a text's likelihood with that of models not trained on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.reference_models import references as trained
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.tokens import claims, mean_over_tokens, statistics

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=membership,
    access=Access.SCORES | Access.TRAIN,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2012.07805",
    adapts="trains",
)
def reference_ratio(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(2, 512), Stronger.MORE] = 8,
) -> Outcome:
    """Subtract from a text's log-probability the mean of reference models not trained on it.

    A text that is likely to any model is likely to the reference models too.

    Args:
        references: number of reference models, each trained on a random half of the texts.
    """
    del rng
    question = view.brief.question
    fleet = trained(view, references)
    stats = statistics(view.model, question.x)
    reference_scores = np.stack(
        [mean_over_tokens(m[..., 0], stats.real) for m in fleet.moments(question)]
    )
    without = np.where(fleet.include, 0.0, reference_scores).sum(0) / (~fleet.include).sum(0)
    guess = mean_over_tokens(stats.log_probs, stats.real) - without
    return Outcome(guess=guess, asset=claims(question, guess))
