"""Marked copy: copy a model that may be marked, and do nothing about the mark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

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
    paper="arXiv:1503.02531",
    loot=Loot.MODEL,
    light={"steps": 100},
)
def marked_copy(
    view: View[OwnershipBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    temperature: Annotated[float, Range(1, 100), Stronger.NEITHER] = 4.0,
    blur: Annotated[float, Range(0, 10), Stronger.NEITHER] = 0.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 400,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Distil a copy from the scores of a model, on the thief's own records.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        temperature: of the scores that are learnt.
        blur: deviation of noise on the records that are asked, as a share of that of the records;
            above 0 records are asked several times, each time with other noise.
        steps: optimiser steps of the copy's training.
        hidden: width of the copy's hidden layer.
    """
    x, answers = washing.asked(view, rng, queries, blur)
    seed = int(rng.integers(2**31))
    weights = washing.copied(
        view, x, answers, seed, steps=steps, hidden=hidden, temperature=temperature
    )
    return Outcome(asset=washing.of_weights(view, washing.net_of(view, hidden), weights))
