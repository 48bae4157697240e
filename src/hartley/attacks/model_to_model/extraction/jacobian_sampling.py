"""Jacobian sampling: move records along the copy's gradients, ask again and train again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.transfer import (
    Transfer,
    allowance,
    labels_of_copy,
    numbers,
    slopes,
)
from hartley.attacks.model_to_model.extraction._shared.unnoticed import Unnoticed, natural
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.LABELS,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1602.02697",
    adapts=True,
    loot=Loot.MODEL,
    light={"queries": 300, "steps": 40},
    sweep={"repeats": (3,)},
)
def jacobian_sampling(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    seeds: Annotated[int, Range(1)] = 150,
    step: Annotated[float, Range(0, open_low=True)] = 0.1,
    towards: Literal["random", "label"] = "random",
    repeats: Annotated[int, Range(1, 100), Stronger.NEITHER] = 1,
    caution: Annotated[float, Range(0, 1), Stronger.NEITHER] = 0.96,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Double the transfer set in rounds by synthetic records, and train a copy on their labels.

    The attacker asks about a few records of their own. Then each record that was asked is moved by
    one step along the sign of the gradient of the copy so far, and its label is asked too. The
    paper moves along the gradient of the record's own label; towards a class drawn at random, the
    copy is more like the victim (T-RND of arXiv:1805.02628).

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        seeds: records of the attacker's own to start with, a third of the queries at most.
        step: what each number of a record moves by, as a share of the records' range.
        towards: which label's gradient records are moved along.
        repeats: how often each record is asked; the mean of the answers is learnt, where a victim
            adds noise to them.
        caution: against ``prada``, where the attacker knows of it: natural records are asked in
            between, and moved ones left out, so that its statistic stays above this; 0 for neither.
        steps: optimiser steps of each copy's training.
        hidden: width of the copy's hidden layer.

    Raises:
        UsageError: the attacker's records are none, or not numbers.
    """
    public = numbers(view, "jacobian_sampling")
    transfer = Transfer(view, allowance(view, queries), repeats=repeats)
    low, high = float(public.x.min()), float(public.x.max())
    first = min(seeds, max(1, transfer.left // 3))
    order = rng.permutation(len(public))
    spare = natural(public.x[order[first:]] if first < len(public) else public.x, rng)
    unnoticed = Unnoticed.of(transfer, caution, lambda: next(spare))
    unnoticed.ask(public.x[order[:first]])
    while transfer.left:
        copy = transfer.copy(int(rng.integers(2**31)), steps=steps, hidden=hidden)
        rows = rng.permutation(len(transfer))[: transfer.left]
        x, labels = transfer.x[rows], transfer.answers[rows].argmax(1)
        if towards == "random":
            others = 1 if view.brief.classes > 1 else 0
            shift = rng.integers(others, view.brief.classes, len(x))
            labels = (labels_of_copy(copy, x) + shift) % view.brief.classes
        moved = x - step * (high - low) * np.sign(slopes(copy, x, labels))
        unnoticed.ask(np.clip(moved, low, high).astype(public.x.dtype))
    return Outcome(asset=transfer.copy(int(rng.integers(2**31)), steps=steps, hidden=hidden))
