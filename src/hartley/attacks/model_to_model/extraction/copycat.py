"""Copycat: train a copy on the victim's labels for unrelated, artificial records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.transfer import allowance
from hartley.core import (
    Access,
    Data,
    Loot,
    Modality,
    Outcome,
    Output,
    Range,
    Stronger,
    Term,
    View,
    attack,
)
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit.answer_units import probabilities
from hartley.models.clone import clone, transfer_set

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.LABELS,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1806.05476",
    adapts=True,
    loot=Loot.MODEL,
    light={"steps": 40},
)
def copycat(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    blur: Annotated[float, Range(0)] = 0.1,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
) -> Outcome:
    """Train a copy on the victim's labels for noisy mixtures of the attacker's records.

    The paper queries images from other domains. Here queries are mixtures with noise, so that no
    query is a record from the victim's domain.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        blur: standard deviation of the noise, as a share of that of the records.
        steps: optimiser steps of the copy's training.
    """
    public, model = view.brief.public, view.model
    size = allowance(view, queries)
    x = transfer_set(public.x, size + len(public), rng)[len(public) :]
    noisy = x + blur * float(public.x.std()) * rng.standard_normal(x.shape)
    x = np.clip(noisy, public.x.min(), public.x.max()).astype(public.x.dtype)
    labels = np.asarray(model.query(x))
    answers = probabilities(labels, Output.LABELS, model.classes)
    seed = int(rng.integers(2**31))
    return Outcome(asset=clone(Data("mixtures", public.modality, x), answers, seed, steps=steps))
