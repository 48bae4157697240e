"""Modality-gap shift: one change for all pictures, which moves them all in one direction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.alignment.alignment import AlignmentBrief, alignment
from hartley.games.alignment.pair_encoders import CAPTIONS, pairs

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=alignment,
    access=Access.EMBEDDINGS | Access.GRADIENTS,
    term=Term.NOISE,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2203.02053",
    sweep={"towards": ("hub", "gap", "away")},
)
def modality_gap_shift(
    view: View[AlignmentBrief],
    rng: Rng,
    *,
    towards: Literal["hub", "gap", "away"] = "hub",
    steps: Annotated[int, Range(1, 10_000), Stronger.MORE] = 20,
    batch: Annotated[int, Range(1, 10_000), Stronger.MORE] = 16,
) -> Outcome:
    """Add one and the same change to every picture, found on the attacker's own pairs.

    The two halves of a dual encoder's space lie apart, by about one vector. What moves all pictures
    along one vector changes which captions are near to them.

    Args:
        towards: gap, further from the captions along the vector between the means of the two
            modalities; hub, to the one caption of the attacker's that is nearest to all pictures;
            away, from each picture's own caption, whichever one change does most of it.
        steps: number of steps.
        batch: of the attacker's pictures, for the slope of a step.
    """
    brief = view.brief
    clean = np.asarray(brief.question.x, np.float32)
    own_pairs, rules = brief.public, brief.budget.picture
    pictures = np.asarray(view.model.calls["query"](own_pairs.x))
    captions = np.asarray(brief.captions.calls["query"](own_pairs.facts[CAPTIONS]))
    if towards == "gap":
        aims = np.tile(captions.mean(0) - pictures.mean(0), (len(captions), 1))
    elif towards == "hub":
        aims = -np.tile(captions[(pictures @ captions.T).mean(0).argmax()], (len(captions), 1))
    else:
        aims = captions
    # Steps of equal length, of which the signs of the latest slopes decide the direction.
    change = np.zeros_like(clean[:1])
    middle = np.full_like(change, 0.5)
    box = rules.box(middle)
    trend = np.zeros_like(change)
    for _ in range(steps):
        rows = rng.integers(len(own_pairs), size=batch)
        x = np.clip(np.asarray(own_pairs.x[rows], np.float32) + change, 0, 1)
        slope = view.model.calls["grad"](x, aims[rows]).mean(0, keepdims=True)
        trend = 0.9 * trend + slope / max(float(np.abs(slope).mean()), 1e-12)
        length = np.full(1, 2.5 / steps * rules.epsilon)
        change = rules.projected(rules.moved(middle + change, trend, length), middle, box) - middle
    shifted = rules.projected(clean + change, clean, rules.box(clean))
    return Outcome(asset=pairs("changed pairs", shifted, brief.question.facts[CAPTIONS]))
