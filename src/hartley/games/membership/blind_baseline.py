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
SHUFFLES = 199
"""Splits of the same records that a single split is compared with: two of these and itself may be
as far from ½, for the level."""
FEW = 3
"""Rounds from which on their own spread says how far the AUC strays."""


def blind_auc(data: Data, coins: NDArray[Any], groups: NDArray[Any]) -> dict[str, float]:
    """Return the AUC of the blind baseline with its 99 % interval.

    Args:
        data: n records.
        coins: (rounds, n) booleans, which record was a member.
        groups: (n,) integers; the records of a group share a coin and are in one fold.

    Returns:
        ``value``, ``low``, ``high``, ``n``. The interval is over rounds (t) if there are at least
        three. Else it is the wider one of DeLong's over records, and of what ``SHUFFLES`` random
        splits of the same records reach: a sound split is one of them, so that ½ lies outside for
        at most 1 % of sound splits, whatever the records are. It is ½ with the interval 0..1 if no
        fold has both members and non-members.
    """
    rng = np.random.default_rng(29)
    rows = np.sort(rng.permutation(len(data))[:MOST])
    fold = rng.permutation(int(groups.max()) + 1)[groups[rows]] % FOLDS
    subset = replace(data, x=data.x[rows], y=None if data.y is None else data.y[rows])
    labels = 0 if subset.y is None else int(subset.y.max()) + 1
    table = standardised(plain_features(subset, labels))
    kernel = _kernel(table / math.sqrt(max(int(table.any(0).sum()), 1)))
    count = len(coins)
    coins = np.concatenate([coins, _shuffled(coins, groups, rng)]) if count < FEW else coins
    targets = np.where(coins[:, rows], 1.0, -1.0).T
    aucs: list[list[tuple[float, float, int]]] = [[] for _ in range(count)]
    shuffles, sizes = np.zeros(len(coins) - count), 0
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
        if len(shuffles):
            shuffles += len(test) * _aucs(scores[:, count:], targets[test, count:] > 0)
            sizes += len(test)
    return _interval([r for r in aucs if r], len(rows), shuffles / max(sizes, 1))


def _shuffled(
    coins: NDArray[Any], groups: NDArray[Any], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return ``SHUFFLES`` splits (SHUFFLES, n) with as many members, a coin for each group."""
    of_groups = np.zeros(int(groups.max()) + 1, dtype=bool)
    of_groups[groups] = coins[0]
    return np.stack([rng.permutation(of_groups)[groups] for _ in range(SHUFFLES)])


def _mean(folds: list[tuple[float, float, int]]) -> tuple[float, float]:
    """Return the AUC of a round over its folds, and its variance."""
    values, variances, sizes = (np.array(v, dtype=np.float64) for v in zip(*folds, strict=True))
    weight = sizes / sizes.sum()
    return float(weight @ values), float(weight**2 @ variances)


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


def _aucs(scores: Floats, members: NDArray[np.bool_]) -> Floats:
    """Return the AUC of each column of scores; ½ where it has members alone, or none."""
    from scipy.stats import rankdata

    count = members.sum(0)
    pairs = count * (len(scores) - count)
    over = (rankdata(scores, axis=0) * members).sum(0) - count * (count + 1) / 2
    return np.where(pairs > 0, over / np.maximum(pairs, 1), 0.5)


def _interval(
    aucs: list[list[tuple[float, float, int]]], n: int, shuffles: Floats
) -> dict[str, float]:
    if not aucs:
        return {"value": 0.5, "low": 0.0, "high": 1.0, "n": n}
    from scipy.special import ndtri, stdtrit

    means = [_mean(folds) for folds in aucs]
    values, count = [value for value, _ in means], len(means)
    mean = float(np.mean(values))
    if not len(shuffles):
        margin = (
            float(stdtrit(count - 1, 1 - ALPHA / 2)) * float(np.std(values, ddof=1)) / count**0.5
        )
    else:
        error = sum(variance for _, variance in means) / count**2
        rank = math.ceil((1 - ALPHA) * (len(shuffles) + 1)) - 1
        strays = np.sort(np.abs(shuffles - 0.5))
        stray = float(strays[rank]) if rank < len(strays) else 1.0
        margin = max(float(ndtri(1 - ALPHA / 2)) * math.sqrt(error), stray)
    return {"value": mean, "low": max(0.0, mean - margin), "high": min(1.0, mean + margin), "n": n}
