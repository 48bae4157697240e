"""Washed copy: copy a model that may be marked, and wash the mark out of the copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_model.extraction._shared import washing
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.ownership import OwnershipBrief, ownership

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=ownership,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.TABULAR),
    paper="arXiv:1805.12185",
    loot=Loot.MODEL,
    light={"doubt": False, "steps": 100, "tuning": 50},
)
def washed_copy(
    view: View[OwnershipBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    doubt: bool = True,
    blur: Annotated[float, Range(0, 10), Stronger.NEITHER] = 0.0,
    prune: Annotated[float, Range(0, 1, open_high=True), Stronger.NEITHER] = 0.5,
    tuning: Annotated[int, Range(0), Stronger.NEITHER] = 200,
    temperature: Annotated[float, Range(1, 100), Stronger.NEITHER] = 4.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 400,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Copy a model's answers but the doubtful ones, prune the copy, and tune it on true labels.

    Each answer is doubted by copies of the others: one whose label they do not give is left out,
    as wrong answers that a key placed are. Pruning and tuning (fine-pruning of arXiv:1805.12185)
    are done on the thief's own labelled records.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        doubt: whether doubtful answers are left out.
        blur: as in ``marked_copy``.
        prune: share of each matrix that is set to 0, the smallest weights first.
        tuning: optimiser steps of the tuning; 0 for none.
        temperature: of the scores that are learnt.
        steps: optimiser steps of the copy's training.
        hidden: width of the copy's hidden layer.
    """
    public, net = view.brief.public, washing.net_of(view, hidden)
    x, answers = washing.asked(view, rng, queries, blur)
    seed = int(rng.integers(2**31))
    if doubt and len(x):
        keep = washing.believed(view, x, answers, seed, hidden)
        x, answers = (x[keep], answers[keep]) if keep.any() else (x, answers)
    weights = washing.copied(
        view, x, answers, seed, steps=steps, hidden=hidden, temperature=temperature
    )
    weights = washing.pruned(weights, prune)
    if tuning:
        labels = np.eye(view.brief.classes, dtype=np.float32)[public.labels]
        weights = washing.learnt(
            net, public.x, labels, seed, tuning, start=weights, rate=washing.RATE / 10
        )
    return Outcome(asset=washing.of_weights(view, net, weights))
