"""The blind baseline: can members be told from non-members without asking any model?

If they can, the split is flawed (arXiv:2406.16201): another source, another time, another class
balance. What an attack reads from such a split is no leak. The baseline is a kernel ridge
classifier on the records and their labels, cross-fitted, for all rounds of a deal at once: the
rounds share records and folds and differ in their coins only, so they share the factorisation too.
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
"""Records that it looks at: a shift that matters shows in these."""
ALPHA = 0.01
"""Error level of its interval: a false alarm about a sound split should be rare."""


def blind_auc(data: Data, coins: NDArray[Any], groups: NDArray[Any]) -> dict[str, float]:
    """Return the AUC of the blind baseline with its 99 % interval.

    Args:
        data: (n) records.
        coins: (rounds, n) booleans, who was a member.
        groups: (n,) integers; records of one group fall into one fold, because they share a coin.

    Returns:
        ``value``, ``low``, ``high``, ``n``. The interval is over rounds (t) where there are three
        or more, else over records (DeLong). ½ with the interval 0..1 if no fold holds both kinds.
    """
    rng = np.random.default_rng(29)
    rows = np.sort(rng.permutation(len(data))[:MOST])
    fold = rng.permutation(int(groups.max()) + 1)[groups[rows]] % FOLDS
    some = replace(data, x=data.x[rows], y=None if data.y is None else data.y[rows])
    labels = 0 if some.y is None else int(some.y.max()) + 1
    table = standardised(plain_features(some, labels))
    kernel = _kernel(table / math.sqrt(max(int(table.any(0).sum()), 1)))
    wanted = np.where(coins[:, rows], 1.0, -1.0).T
    found: list[list[tuple[float, float, int]]] = [[] for _ in range(len(coins))]
    for one in range(FOLDS):
        out, kept = np.flatnonzero(fold == one), np.flatnonzero(fold != one)
        if not len(out) or not len(kept):
            continue
        gram = kernel[np.ix_(kept, kept)]
        gram[np.diag_indices_from(gram)] += RIDGE
        centred = wanted[kept] - wanted[kept].mean(0)
        told = kernel[np.ix_(out, kept)] @ np.linalg.solve(gram, centred)
        for r, rounds in enumerate(found):
            # Within a fold: between folds the mean of the others' coins would tell, backwards.
            part = _auc(told[:, r], wanted[out, r] > 0)
            if part is not None:
                rounds.append(part)
    return _together([r for r in found if r], len(rows))


def _kernel(table: Floats) -> Floats:
    """A straight and a curved kernel, half each: shifts of means, and of everything else."""
    straight = table @ table.T
    square = np.maximum(np.diag(straight)[:, None] + np.diag(straight) - 2 * straight, 0)
    scale = float(np.median(square)) or 1.0
    return np.asarray(0.5 * straight + 0.5 * np.exp(-square / scale))


def _auc(score: Floats, member: NDArray[np.bool_]) -> tuple[float, float, int] | None:
    """AUC of one fold, its variance by DeLong, and its records; None without both kinds."""
    high, low = np.sort(score[member]), np.sort(score[~member])
    if not len(high) or not len(low):
        return None
    over = (np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")) / 2 / len(low)
    under = (np.searchsorted(high, low, "left") + np.searchsorted(high, low, "right")) / 2
    under = 1 - under / len(high)
    parts = [v.var(ddof=1) / len(v) if len(v) > 1 else 0.25 for v in (over, under)]
    return float(over.mean()), float(sum(parts)), len(score)


def _together(found: list[list[tuple[float, float, int]]], n: int) -> dict[str, float]:
    if not found:
        return {"value": 0.5, "low": 0.0, "high": 1.0, "n": n}
    from scipy.special import ndtri, stdtrit

    each, error = [], 0.0
    for folds in found:
        value, variance, size = (np.array(v, dtype=np.float64) for v in zip(*folds, strict=True))
        weight = size / size.sum()
        each.append(float(weight @ value))
        error += float(weight**2 @ variance) / len(found) ** 2
    mean, count = float(np.mean(each)), len(each)
    if count >= 3:
        reach = float(stdtrit(count - 1, 1 - ALPHA / 2)) * float(np.std(each, ddof=1)) / count**0.5
    else:
        reach = float(ndtri(1 - ALPHA / 2)) * math.sqrt(error)
    return {"value": mean, "low": max(0.0, mean - reach), "high": min(1.0, mean + reach), "n": n}
