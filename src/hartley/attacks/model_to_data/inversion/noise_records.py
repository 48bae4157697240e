"""Noise records: the control of chains in which rebuilt records are handed on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
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
def noise_records(view: View[ClassInversionBrief], rng: Rng) -> Outcome:
    """Bring home noise in the range of the attacker's own records, and ask nothing.

    Each number is uniform between the least and the largest value that it has among those records.
    A record is labelled with the output in question, as those that were rebuilt are.
    """
    question, public = view.brief.question, needed(view.brief.public, "noise_records")
    x = np.asarray(public.x)
    noise = rng.uniform(x.min(0), x.max(0), (len(question), *view.brief.shape))
    return Outcome(asset=Data("noise", public.modality, noise.astype(x.dtype), y=question.x[:, 0]))
