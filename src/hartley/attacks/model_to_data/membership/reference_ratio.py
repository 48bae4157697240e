"""Reference ratio: how much likelier a text is to the model than to models that never read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.reference_models import references as trained
from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
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
    view: View[MembershipBrief], rng: Rng, *, references: Annotated[int, Range(2, 512)] = 8
) -> Outcome:
    """Subtract from a text's log-probability what models without it give it.

    A text that is easy for its own sake is easy for them as well.

    Args:
        references: models, each trained on a random half of the texts in question; a text is held
            against those that were trained on the other half.
    """
    del rng
    asked = view.brief.question
    fleet = trained(view, references)
    told = statistics(view.model, asked.x)
    elsewhere = np.stack([mean_over_tokens(m[..., 0], told.real) for m in fleet.moments(asked)])
    without = np.where(fleet.include, 0.0, elsewhere).sum(0) / (~fleet.include).sum(0)
    guess = mean_over_tokens(told.log_probs, told.real) - without
    return Outcome(guess=guess, asset=claims(asked, guess))
