"""Surrogate: an independent model, the control of chains in which a copy of the victim is held."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.models.clone import clone

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="hartley",
    loot=Loot.MODEL,
    control=True,
    light={"steps": 40},
)
def surrogate(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Train a model on the attacker's own records with their own labels, and ask nothing.

    It has the architecture, the steps and at most the records of knockoff, and nothing of the
    victim: what an attack does with it, it does with any other model of the same task.

    Args:
        steps: optimiser steps of the training.
        hidden: width of the hidden layer.

    Raises:
        UsageError: the attacker's records have no labels, or a class that the victim lacks.
    """
    public, classes = view.brief.public, view.brief.classes
    if public.y is None or not np.issubdtype(np.asarray(public.y).dtype, np.integer):
        raise UsageError("surrogate: the attacker's records must be labelled by class, got none")
    if len(public) and not 0 <= public.y.min() <= public.y.max() < classes:
        raise UsageError(f"surrogate: labels must be from 0 to {classes - 1}, got {public.y.max()}")
    rows = rng.permutation(len(public))[: view.brief.queries]
    labels = np.eye(classes, dtype=np.float32)[public.y[rows]]
    records = Data("own records", public.modality, public.x[rows])
    seed = int(rng.integers(2**31))
    return Outcome(asset=clone(records, labels, seed, steps=steps, hidden=hidden))
