"""The normal laws of a record's confidences, from models with it and models without it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Law = tuple[NDArray[np.float64], NDArray[np.float64]]

SPREAD = 1e-3
"""Least standard deviation of a confidence, so that models that all agree give a finite ratio."""
PRIOR = 16.0
"""Degrees of freedom that all records together weigh in the scale of one (design/references.md)."""


def laws(shadow: NDArray[Any], groups: Sequence[NDArray[np.bool_]], variance: str) -> list[Law]:
    """Return the law of each record's confidences for each group of models, as of ``normal``.

    Args:
        shadow: (K, n, A) confidences of K models on A variants of n records.
        groups: (K, n) booleans each, which models to use for which record.
        variance: see ``lira``.
    """
    each = [normal(shadow, group, variance != "each") for group in groups]
    if variance != "shrunk":
        return each
    spread, freedom = np.zeros(shadow.shape[1]), np.zeros(shadow.shape[1])
    for group, (mean, covariance) in zip(groups, each, strict=True):
        deviations = np.where(group[..., None], shadow - mean, 0)
        inverse = np.linalg.inv(covariance[0]) / shadow.shape[-1]
        spread += np.einsum("kna,ab,knb->n", deviations, inverse, deviations, optimize=True)
        freedom += np.maximum(group.sum(0) - 1, 0)
    scale = (PRIOR + spread) / (PRIOR + freedom)
    return [(mean, covariance * scale[:, None, None]) for mean, covariance in each]


def normal(shadow: NDArray[Any], included: NDArray[np.bool_], fixed: bool) -> Law:
    """Return the mean (n, A) and covariance (n or 1, A, A) of each record's confidences.

    Args:
        shadow: (K, n, A) confidences of K models on A variants of n records.
        included: (K, n) booleans, which models to use for which record.
        fixed: use one covariance for all records; else only variances, for each record.
    """
    count = np.maximum(included.sum(0), 1)
    mean = np.where(included[..., None], shadow, 0).sum(0) / count[:, None]
    deviations = np.where(included[..., None], shadow - mean, 0)
    floor = SPREAD**2 * np.eye(shadow.shape[-1])
    if fixed:
        # The pooled covariance subtracts the degrees of freedom of the means.
        flat = deviations.reshape(-1, shadow.shape[-1])
        covariance = (flat.T @ flat / max(included.sum() - len(count), 1))[None]
    else:
        variance = (deviations**2).sum(0) / np.maximum(count - 1, 1)[:, None]
        covariance = variance[..., None] * np.eye(shadow.shape[-1])
    return mean, np.maximum(covariance, floor) if len(floor) == 1 else covariance + floor


def log_density(
    x: NDArray[Any], mean: NDArray[Any], covariance: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the log-density (n,) of normal vectors (n, A), up to a constant."""
    gap = x - mean
    solved = np.linalg.solve(covariance, gap[..., None])[..., 0]
    return np.asarray(-0.5 * (gap * solved).sum(-1) - 0.5 * np.linalg.slogdet(covariance)[1])
