"""LiRA: the likelihood-ratio attack, each record measured against its own reference models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import ALL, Access, Data, Move, Outcome, View, attack
from hartley.games.membership import membership
from hartley.kit.reference import confidence, references

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SPREAD = 1e-3
"""Least standard deviation of a confidence: models that never waver still leave a finite ratio."""


@attack(
    game=membership,
    needs=Access.SCORES | Access.TRAIN,
    moves=Move.NOISE,
    fits=ALL,
    paper="arXiv:2112.03570",
)
def lira(
    view: View,
    rng: Rng,
    *,
    references: int = 64,
    online: bool = True,
    fixed_variance: bool = True,
) -> Outcome:
    """Compare the victim's confidence in a record with models that did and did not train on it.

    Args:
        references: reference models, each trained on a random half of the records.
        online: use models with and without the record; else only those without it.
        fixed_variance: one variance for all records (better with few models) or one a record.
    """
    del rng
    asked = view.question
    assert asked is not None
    fleet = _references(view, references)
    shadow, within = fleet.confidence(asked), fleet.include
    seen = confidence(view.model, asked)
    mean_out, spread_out = _law(shadow, ~within, fixed_variance)
    if online:
        mean_in, spread_in = _law(shadow, within, fixed_variance)
        guess = _log_density(seen, mean_in, spread_in) - _log_density(seen, mean_out, spread_out)
    else:
        # One-sided: how far above its own "out" law the record lies; monotone in the paper's
        # 1 − Pr[Z > confidence], and finite where that probability rounds to 1.
        guess = (seen - mean_out) / spread_out
    claimed = guess > 0
    return Outcome(
        guess=guess,
        asset=Data(
            "claimed members",
            asked.modality,
            asked.x[claimed],
            None if asked.y is None else asked.y[claimed],
        ),
    )


_references = references


def _law(
    shadow: NDArray[Any], kept: NDArray[np.bool_], fixed: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation (n,) of each record over the models in ``kept`` (K, n)."""
    count = np.maximum(kept.sum(0), 1)
    mean = np.where(kept, shadow, 0).sum(0) / count
    square = np.where(kept, (shadow - mean) ** 2, 0)
    if fixed:
        # Pooled with the degrees of freedom that the means have used up.
        variance = np.full(len(count), square.sum() / max(kept.sum() - len(count), 1))
    else:
        variance = square.sum(0) / np.maximum(count - 1, 1)
    return mean, np.sqrt(np.maximum(variance, SPREAD**2))


def _log_density(x: NDArray[Any], mean: NDArray[Any], spread: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(-0.5 * ((x - mean) / spread) ** 2 - np.log(spread))
