"""The blind baseline: can a classifier separate members from non-members without any model?

If it can, the split is flawed (arXiv:2406.16201): members and non-members differ in source, time or
class balance, and bits that an attack reads are not a leak. The baseline is a cross-fitted kernel
ridge classifier on records and labels. It is fitted for all rounds of a deal at once: the rounds
share records and folds and differ only in their coins, so they share the factorisation.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data
from hartley.kit.features import plain_features, standardised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FOLDS, RIDGE = 5, 0.3
MOST = 1500
"""Largest number of records that it uses: enough to detect a shift that matters."""
ALPHA = 0.01
"""Error level of its interval; small, so that false alarms about a sound split are rare."""


def blind_auc(data: Data, coins: NDArray[Any], groups: NDArray[Any]) -> dict[str, float]:
    """Return the AUC of the blind baseline with its 99 % interval.

    Args:
        data: n records.
        coins: (rounds, n) booleans, which record was a member.
        groups: (n,) integers; the records of a group share a coin and are in one fold.

    Returns:
        ``value``, ``low``, ``high``, ``n``. The interval is over rounds (t) if there are at least
        three, else over records (DeLong). It is ½ with the interval 0..1 if no fold has both
        members and non-members.
    """
    rng = np.random.default_rng(29)
    rows = np.sort(rng.permutation(len(data))[:MOST])
    fold = rng.permutation(int(groups.max()) + 1)[groups[rows]] % FOLDS
    subset = replace(data, x=data.x[rows], y=None if data.y is None else data.y[rows])
    labels = 0 if subset.y is None else int(subset.y.max()) + 1
    table = standardised(plain_features(subset, labels))
    kernel = _kernel(table / math.sqrt(max(int(table.any(0).sum()), 1)))
    targets = np.where(coins[:, rows], 1.0, -1.0).T
    aucs: list[list[tuple[float, float, int]]] = [[] for _ in range(len(coins))]
    for index in range(FOLDS):
        test, training = np.flatnonzero(fold == index), np.flatnonzero(fold != index)
        if not len(test) or not len(training):
            continue
        gram = kernel[np.ix_(training, training)]
        gram[np.diag_indices_from(gram)] += RIDGE
        centred = targets[training] - targets[training].mean(0)
        scores = kernel[np.ix_(test, training)] @ np.linalg.solve(gram, centred)
        for r, rounds in enumerate(aucs):
            # The AUC is within a fold: across folds the mean of the training coins, which differs
            # between folds, would be informative.
            result = _auc(scores[:, r], targets[test, r] > 0)
            if result is not None:
                rounds.append(result)
    return _interval([r for r in aucs if r], len(rows))


def _kernel(table: Floats) -> Floats:
    """Return the mean of a linear and a Gaussian kernel, for shifts of means and all others."""
    linear = table @ table.T
    squared = np.maximum(np.diag(linear)[:, None] + np.diag(linear) - 2 * linear, 0)
    scale = float(np.median(squared)) or 1.0
    return np.asarray(0.5 * linear + 0.5 * np.exp(-squared / scale))


def _auc(score: Floats, member: NDArray[np.bool_]) -> tuple[float, float, int] | None:
    """Return a fold's AUC, its variance by DeLong, and its size; None without both classes."""
    high, low = np.sort(score[member]), np.sort(score[~member])
    if not len(high) or not len(low):
        return None
    over = (np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")) / 2 / len(low)
    under = (np.searchsorted(high, low, "left") + np.searchsorted(high, low, "right")) / 2
    under = 1 - under / len(high)
    parts = [v.var(ddof=1) / len(v) if len(v) > 1 else 0.25 for v in (over, under)]
    return float(over.mean()), float(sum(parts)), len(score)


def _interval(aucs: list[list[tuple[float, float, int]]], n: int) -> dict[str, float]:
    if not aucs:
        return {"value": 0.5, "low": 0.0, "high": 1.0, "n": n}
    from scipy.special import ndtri, stdtrit

    values, error = [], 0.0
    for folds in aucs:
        value, variance, size = (np.array(v, dtype=np.float64) for v in zip(*folds, strict=True))
        weight = size / size.sum()
        values.append(float(weight @ value))
        error += float(weight**2 @ variance) / len(aucs) ** 2
    mean, count = float(np.mean(values)), len(values)
    if count >= 3:
        margin = (
            float(stdtrit(count - 1, 1 - ALPHA / 2)) * float(np.std(values, ddof=1)) / count**0.5
        )
    else:
        margin = float(ndtri(1 - ALPHA / 2)) * math.sqrt(error)
    return {"value": mean, "low": max(0.0, mean - margin), "high": min(1.0, mean + margin), "n": n}
