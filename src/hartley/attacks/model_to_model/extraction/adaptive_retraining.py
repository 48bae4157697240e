"""Adaptive retraining: ask for labels of records on the copy's own decision boundary."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from hartley.attacks.model_to_model.extraction._shared.transfer import (
    Transfer,
    allowance,
    labels_of_copy,
    numbers,
    shares,
)
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.boundary import beside_the_boundary
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.models.clone import transfer_set

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.LABELS,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1609.02943",
    adapts=True,
    loot=Loot.MODEL,
    light={"queries": 300, "steps": 40, "rounds": 2},
)
def adaptive_retraining(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    rounds: Annotated[int, Range(2, 1000), Stronger.MORE] = 5,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Train copies on labels alone; each asks where the one before changes its mind.

    The first batch is of the attacker's own records. For each later one, the line between two
    records of different labels is searched for the boundary of the copy so far, which costs no
    query, and the victim is asked on both sides of it: where copy and victim differ, the copy
    learns.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        rounds: batches that the queries are asked in; the first takes half of them.
        steps: optimiser steps of each copy's training.
        hidden: width of the copy's hidden layer.

    Raises:
        UsageError: the attacker's records are none, or not numbers.
    """
    public = numbers(view, "adaptive_retraining")
    transfer = Transfer(view, allowance(view, queries))
    transfer.ask(transfer_set(public.x, (transfer.left + 1) // 2, rng, mix=False))
    for share in shares(transfer.left, rounds - 1):
        copy = transfer.copy(int(rng.integers(2**31)), steps=steps, hidden=hidden)
        beside = beside_the_boundary(partial(labels_of_copy, copy), public, rng, pairs=4 * share)
        # A copy with one label for all has no boundary: any mixture is as good.
        x = transfer_set(public.x, len(public) + share, rng)[len(public) :]
        if beside is not None:
            x = beside[0][rng.permutation(len(beside[0]))[:share]]
        transfer.ask(x)
    return Outcome(asset=transfer.copy(int(rng.integers(2**31)), steps=steps, hidden=hidden))
