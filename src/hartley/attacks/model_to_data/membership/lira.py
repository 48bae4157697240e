"""LiRA: the likelihood-ratio attack, each record measured against its own reference models."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.membership._shared import augmentations as versions
from hartley.attacks.model_to_data.reference_models import confidence, references
from hartley.core import ALL, Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.games.membership.split_checks import claimed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SPREAD = 1e-3
"""Least standard deviation of a confidence: models that never waver still leave a finite ratio."""


@attack(
    game=membership,
    access=Access.SCORES | Access.TRAIN,
    term=Term.NOISE,
    modalities=ALL,
    paper="arXiv:2112.03570",
    adapts="trains",
)
def lira(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(2, 512)] = 64,
    online: bool = True,
    fixed_variance: bool = True,
    augment: Annotated[int, Range(1, 50)] = 1,
) -> Outcome:
    """Compare the victim's confidence in a record with models that did and did not train on it.

    Args:
        references: reference models, each trained on a random half of the records.
        online: use models with and without the record; else only those without it.
        fixed_variance: one variance for all records (better with few models) or one a record.
        augment: versions of a picture that are asked about, itself and shifted copies; their
            confidences count as one normal vector, with one covariance for all records.

    Raises:
        UsageError: versions of what is no picture.
    """
    del rng
    asked = view.brief.question
    fleet = _references(view, references)
    copies = _versions(asked, augment)
    shadow = np.stack([fleet.confidence(one) for one in copies], -1)
    seen = np.stack([confidence(view.model, one) for one in copies], -1)
    within, posterior = fleet.include, None
    out = _law(shadow, ~within, fixed_variance)
    if online:
        member = _law(shadow, within, fixed_variance)
        guess = _log_density(seen, *member) - _log_density(seen, *out)
        posterior = 1 / (1 + np.exp(-np.clip(guess, -30, 30)))
    else:
        # One-sided: how far above its own "out" law the record lies; monotone in the paper's
        # 1 − Pr[Z > confidence], and finite where that probability rounds to 1.
        mean, covariance = out
        each = (seen - mean) / np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
        guess = each.mean(-1)
    return Outcome(guess=guess, asset=claimed(asked, guess > 0), posterior=posterior)


_references = references


def _versions(asked: Data, count: int) -> list[Data]:
    if count == 1:
        return [asked]
    if asked.modality is not Modality.VISION or asked.x.ndim != 4:
        raise UsageError(f"augment must be 1 for records that are not pictures, got {count}")
    made = versions.pictures(np.asarray(asked.x), count)
    return [asked, *(replace(asked, x=x) for x in made[1:])]


def _law(
    shadow: NDArray[Any], kept: NDArray[np.bool_], fixed: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (n, A) and covariance (n or 1, A, A) of each record over the models in ``kept``.

    Args:
        shadow: (K, n, A) confidences.
        kept: (K, n) booleans.
        fixed: one covariance for all records; else variances of each record's own.
    """
    count = np.maximum(kept.sum(0), 1)
    mean = np.where(kept[..., None], shadow, 0).sum(0) / count[:, None]
    apart = np.where(kept[..., None], shadow - mean, 0)
    floor = SPREAD**2 * np.eye(shadow.shape[-1])
    if fixed:
        # Pooled with the degrees of freedom that the means have used up.
        flat = apart.reshape(-1, shadow.shape[-1])
        covariance = (flat.T @ flat / max(kept.sum() - len(count), 1))[None]
    else:
        variance = (apart**2).sum(0) / np.maximum(count - 1, 1)[:, None]
        covariance = variance[..., None] * np.eye(shadow.shape[-1])
    return mean, np.maximum(covariance, floor) if len(floor) == 1 else covariance + floor


def _log_density(
    x: NDArray[Any], mean: NDArray[Any], covariance: NDArray[Any]
) -> NDArray[np.float64]:
    """Log-density (n,) of normal vectors (n, A), but for a constant."""
    gap = x - mean
    solved = np.linalg.solve(covariance, gap[..., None])[..., 0]
    return np.asarray(-0.5 * (gap * solved).sum(-1) - 0.5 * np.linalg.slogdet(covariance)[1])
