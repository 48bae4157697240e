"""Copycat: a copy from labels alone, asked on records that look like nothing in particular."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Loot, Modality, Outcome, Output, Range, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.models.clone import clone, probabilities, transfer_set

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
)
def copycat(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    blur: Annotated[float, Range(0)] = 0.1,
    steps: Annotated[int, Range(1)] = 200,
) -> Outcome:
    """Train a copy on the labels of blurred mixtures of the attacker's records.

    The paper asks about images from other domains; here they are mixtures under noise, so that no
    record of the victim's own kind is needed as it is.

    Args:
        queries: records to ask about; 0 means as many as the rules allow.
        blur: standard deviation of the noise, as a share of the records' own.
        steps: optimiser steps of the copy's training.
    """
    held, model = view.brief.public, view.model
    allowed = [view.brief.queries, *([queries] if queries else [])]
    allowed += [d.params["queries"] for d in view.defenses if d.name == "query_budget"]
    size = max(1, min(allowed))
    x = transfer_set(held.x, size + len(held), rng)[len(held) :]
    noisy = x + blur * float(held.x.std()) * rng.standard_normal(x.shape)
    x = np.clip(noisy, held.x.min(), held.x.max()).astype(held.x.dtype)
    labels = np.asarray(model.query(x))
    answers = probabilities(labels, Output.LABELS, model.classes)
    seed = int(rng.integers(2**31))
    return Outcome(asset=clone(Data("mixtures", held.modality, x), answers, seed, steps=steps))
