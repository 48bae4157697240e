"""Active sampling: ask about the records that the copy so far is least confident in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.transfer import (
    Transfer,
    allowance,
    scores_of_copy,
    shares,
)
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

POOL = 4
"""Records among which a batch is spread, as a multiple of the batch: the least confident ones."""


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1905.09165",
    adapts=True,
    loot=Loot.MODEL,
    light={"queries": 200, "steps": 40, "rounds": 2},
)
def active_sampling(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    rounds: Annotated[int, Range(1, 1000), Stronger.MORE] = 5,
    rule: Literal["both", "uncertainty", "k_center"] = "both",
    temperature: Annotated[float, Range(1, 100), Stronger.NEITHER] = 4.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Choose records of the attacker's own in rounds, by a copy that is trained after each.

    Uncertainty chooses where the copy's two likeliest classes are nearest to each other; k-centre
    chooses records far from all that were asked, by the copy's scores; both spreads a batch by
    k-centre over the four times as many records that the copy is least confident in. The first
    batch is spread over the records themselves.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        rounds: batches that the queries are asked in.
        rule: how a batch is chosen.
        temperature: of the scores that copies are trained on, as in distillation.
        steps: optimiser steps of the last copy's training; those in between take half of them.
        hidden: width of the copy's hidden layer.
    """
    public, transfer = view.brief.public, Transfer(view, allowance(view, queries))
    free = np.arange(len(public))
    how = {"hidden": hidden, "temperature": temperature}
    scores: NDArray[Any] | None = None
    for share in shares(min(transfer.left, len(public)), rounds):
        if scores is None:
            chosen = _spread(kmeans.flat(public.x), free, [int(rng.choice(free))], share)
        else:
            pool = free
            if rule != "k_center":
                top = np.sort(scores[free], axis=1)
                unsure = np.argsort(top[:, -1] - top[:, -2], kind="stable")
                pool = free[unsure[: share * (POOL if rule == "both" else 1)]]
            centres = np.setdiff1d(np.arange(len(public)), free)
            chosen = _spread(scores, pool, centres, share)
        free = np.setdiff1d(free, chosen)
        transfer.ask(public.x[chosen])
        if transfer.left and len(free):
            copy = transfer.copy(int(rng.integers(2**31)), steps=max(1, steps // 2), **how)
            scores = scores_of_copy(copy, public.x)
    return Outcome(asset=transfer.copy(int(rng.integers(2**31)), steps=steps, **how))


def _spread(rows: NDArray[Any], pool: NDArray[Any], centres: Any, size: int) -> NDArray[Any]:
    """Return ``size`` members of ``pool``, each the farthest from the centres and those before."""
    away = kmeans.distances(rows[pool], rows[np.asarray(centres)]).min(1)
    chosen = []
    for _ in range(min(size, len(pool))):
        best = int(away.argmax())
        chosen.append(best)
        away = np.minimum(away, kmeans.distances(rows[pool], rows[pool[[best]]])[:, 0])
        away[chosen] = -1.0
    return pool[chosen]
