"""Knockoff: train a copy on the victim's scores for the attacker's records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.transfer import allowance
from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit.answer_units import probabilities
from hartley.models.clone import clone, transfer_set

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1812.02766",
    adapts=True,
    loot=Loot.MODEL,
    light={"steps": 40},
)
def knockoff(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    mix: bool = False,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Train a copy on the victim's scores for the attacker's records.

    This is the random strategy of the paper, without its learned choice of images. An adaptive
    attacker who knows of a query budget stays within it.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        mix: query mixtures of two records too, if there are fewer records than queries.
        steps: optimiser steps of the copy's training.
        hidden: width of the copy's hidden layer.
    """
    public, model = view.brief.public, view.model
    x = transfer_set(public.x, allowance(view, queries), rng, mix=mix)
    answers = probabilities(np.asarray(model.query(x)), model.output, model.classes)
    queried = Data("transfer set", public.modality, x)
    seed = int(rng.integers(2**31))
    return Outcome(asset=clone(queried, answers, seed, steps=steps, hidden=hidden))
