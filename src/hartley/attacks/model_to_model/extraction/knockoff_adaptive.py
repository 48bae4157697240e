"""Adaptive knockoff: learn which of the attacker's classes are worth asking about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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

PROBE_STEPS = 50
"""Optimiser steps of the copies that only judge which answers they did not expect."""


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1812.02766",
    adapts=True,
    loot=Loot.MODEL,
    light={"queries": 200, "steps": 40, "rounds": 2},
)
def knockoff_adaptive(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    rounds: Annotated[int, Range(1, 1000), Stronger.MORE] = 10,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Train a copy on records whose classes a gradient bandit chooses.

    An action is a class of the attacker's own records; where they carry no labels, a region of
    them. Each answer is rewarded by the victim's certainty, by how it differs from the answers
    before, and by the loss of the copy so far, each scaled to 0..1; the preference of an action
    rises with its reward above the average. The paper draws one record a step; here a step is a
    batch.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        rounds: batches that the queries are asked in; the bandit learns between them.
        steps: optimiser steps of the last copy's training.
        hidden: width of the copy's hidden layer.
    """
    public, transfer = view.brief.public, Transfer(view, allowance(view, queries))
    arms = _arms(view, rng)
    preference, tries = np.zeros(arms.max() + 1), np.zeros(arms.max() + 1)
    free, average, count = np.ones(len(public), dtype=bool), 0.0, 0
    for share in shares(min(transfer.left, len(public)), rounds):
        law = np.exp(preference - preference.max())
        chosen = _drawn(law / law.sum(), arms, free, share, rng)
        free[chosen] = False
        before = transfer.answers.mean(0) if len(transfer) else None
        answers = transfer.ask(public.x[chosen])
        if not free.any() or not transfer.left:
            break
        copy = transfer.copy(int(rng.integers(2**31)), steps=PROBE_STEPS, hidden=hidden)
        rewards = _rewards(answers, scores_of_copy(copy, public.x[chosen]), before)
        for arm, reward in zip(arms[chosen], rewards, strict=True):
            count, tries[arm] = count + 1, tries[arm] + 1
            average += (reward - average) / count
            law = np.exp(preference - preference.max())
            gain = (reward - average) / tries[arm]
            preference -= gain * law / law.sum()
            preference[arm] += gain
    return Outcome(asset=transfer.copy(int(rng.integers(2**31)), steps=steps, hidden=hidden))


def _arms(view: View[ExtractionBrief], rng: Rng) -> NDArray[Any]:
    """Return the action (n,) of each of the attacker's records, 0, 1, …: its class or region."""
    public = view.brief.public
    if public.y is not None and np.issubdtype(np.asarray(public.y).dtype, np.integer):
        return np.asarray(np.unique(public.y, return_inverse=True)[1])
    return kmeans.split(public.x, max(1, min(view.brief.classes, len(public))), rng)


def _drawn(
    law: NDArray[Any], arms: NDArray[Any], free: NDArray[Any], size: int, rng: Rng
) -> NDArray[Any]:
    """Draw records without replacement: an action by its probability, then a record of it."""
    weights = np.where(free, law[arms] / np.bincount(arms, minlength=len(law))[arms], 0.0)
    weights = np.where(free, np.maximum(weights, 1e-12), 0.0)
    return rng.choice(
        len(arms), min(size, int(free.sum())), replace=False, p=weights / weights.sum()
    )


def _rewards(
    answers: NDArray[Any], copied: NDArray[Any], before: NDArray[Any] | None
) -> NDArray[Any]:
    """Return the mean of the three rewards (n,) of a batch of answers, each scaled to 0..1."""
    top = np.sort(answers, axis=1)
    certainty = top[:, -1] - top[:, -2] if answers.shape[1] > 1 else top[:, -1]
    mean = answers.mean(0) if before is None else before
    diversity = np.maximum(answers - mean, 0).sum(1)
    loss = -(answers * np.log(np.maximum(copied, 1e-9))).sum(1)
    parts = [(r - r.min()) / max(float(np.ptp(r)), 1e-9) for r in (certainty, diversity, loss)]
    return np.asarray(np.mean(parts, axis=0))
