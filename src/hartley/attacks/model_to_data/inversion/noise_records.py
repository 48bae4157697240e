"""Noise records: the control of chains in which rebuilt records are handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.brief import needed
from hartley.games.inversion.class_inversion import ClassInversionBrief, class_inversion

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=class_inversion,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="hartley",
    requires=("public",),
    control=True,
)
def noise_records(
    view: View[ClassInversionBrief],
    rng: Rng,
    *,
    copies: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Outcome:
    """Bring home noise in the range of the attacker's own records, and ask nothing.

    Each number is uniform between the least and the largest value that it has among those records.
    A record is labelled with the output in question, as those that were rebuilt are.

    Args:
        copies: records for each output; more than 1 in a chain only, to match the number of those
            that are handed on there.
    """
    question, public = view.brief.question, needed(view.brief.public, "noise_records")
    x = np.asarray(public.x)
    labels = np.repeat(question.x[:, 0], copies)
    noise = rng.uniform(x.min(0), x.max(0), (len(labels), *view.brief.shape))
    return Outcome(asset=Data("noise", public.modality, noise.astype(x.dtype), y=labels))
