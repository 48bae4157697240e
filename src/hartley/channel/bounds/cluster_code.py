"""A mixture code of the secrets of a whole run: what certified min-capacity rests on for scores.

For secrets drawn uniformly and whatever the attacker answered (O), the log2 likelihood ratio
Q(S|O)/π(S) of any law Q is above log2(1/alpha) with chance at most alpha. Q is a mixture of simple
predictors that learn from earlier clusters. Bits a use are certified by the code of
``bounds.prequential``. Proof: ``design/measurement.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import ChannelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LN2 = math.log(2.0)
LEVELS = np.array(ChannelSpec().levels)
MIDDLE = np.array([0.25, 0.5, 0.75])
"""Shares of the scores at which further thresholds lie."""
RANGES = np.array([0.01, 0.05, 0.125, 0.25, 0.5, 0.75, 0.875, 0.95, 0.99])
"""Shares of the scores between which ranges lie."""
FAIR = np.array([0.5, 0.5])
EXACT = 4096
"""Largest cluster whose shuffled code is normalised exactly."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """What a predictor counts: outcomes by context, for each cluster.

    Attributes:
        counts: (m, contexts, outcomes) rows of each cluster.
        prior: (outcomes,) chance of each outcome when nothing leaks.
    """

    counts: Array
    prior: Array


def gains(predictor: Predictor) -> Array:
    """Return the log2 likelihood ratio of each cluster, predicted from the clusters before it.

    Within a context the outcomes follow a Dirichlet(½) mixture (Krichevsky–Trofimov), updated by
    every earlier cluster.

    Returns:
        (m,) bits.
    """
    from scipy.special import gammaln

    now = predictor.counts
    past = np.cumsum(now, 0) - now + 0.5
    inside = gammaln(past + now).sum(2) - gammaln(past).sum(2)
    total, n = past.sum(2), now.sum(2)
    inside += gammaln(total) - gammaln(total + n)
    chance = (now * np.log(predictor.prior)).sum(2)
    return np.asarray((inside - chance).sum(1) / LN2)


def shuffled_gains(predictor: Predictor) -> Array:
    """Return ``gains`` for shuffled secret bits, for a predictor with two contexts.

    The law over bits is conditioned on their number of ones, which a sum of two Pólya counts has
    with a chance that is one convolution.
    """
    from scipy.special import betaln, gammaln

    now = predictor.counts
    past = np.cumsum(now, 0) - now + 0.5
    n, ones = now.sum(2), now.sum((1, 2)) - now[:, :, 0].sum(1)
    i = np.arange(int(n[:, 0].max()) + 1, dtype=np.float64)[None]
    split = (i, ones[:, None] - i)
    chance = np.zeros((len(now), i.size))
    fits = np.ones(chance.shape, dtype=bool)
    for context, hits in enumerate(split):
        size = n[:, context, None]
        fits &= (hits >= 0) & (hits <= size)
        k = np.clip(hits, 0.0, size)
        choose = gammaln(size + 1) - gammaln(k + 1) - gammaln(size - k + 1)
        a, b = past[:, context, 1, None], past[:, context, 0, None]
        chance += choose + betaln(k + a, size - k + b) - betaln(a, b)
    number = np.logaddexp.reduce(np.where(fits, chance, -np.inf), axis=1)
    return np.asarray(gains(predictor) - number / LN2 - _known(now.sum(1)))


def mixture(each: Sequence[Array]) -> Array:
    """Return the gains of the Bayesian mixture of predictors, equally trusted at the start.

    Args:
        each: (m,) gains of every predictor.
    """
    table = np.stack(each)
    path = np.cumsum(table, 1)
    whole = np.logaddexp2.reduce(path, axis=0) - math.log2(len(table))
    return np.diff(whole, prepend=0.0)


def score_gains(
    truth: Whole,
    score: Array,
    cluster: Whole,
    rng: np.random.Generator,
    *,
    exchangeable: bool,
    ranges: bool,
) -> Array:
    """Return the mixture gains of scores about secret bits, (m,) bits by cluster.

    Each cluster is predicted in steps of doubling size. A step's thresholds are quantiles of the
    scores of either class in the steps before it (for the very first, of its own cluster's scores):
    they depend on earlier secrets and on answers, never on the secrets that they predict.

    Args:
        truth: (n,) secret bits.
        score: (n,) scores.
        cluster: (n,) integers 0..m−1; the order is the order of learning.
        rng: shuffles the rows of each cluster, so that their order cannot give secrets away.
        exchangeable: secrets were only shuffled, not drawn by fair coins: the number of ones in
            each cluster is then taken as known to all.
        ranges: also try one predictor on coarse score ranges, not only single thresholds.
    """
    m, n = int(cluster.max()) + 1, len(truth)
    order = np.lexsort((rng.random(n), cluster))
    truth, score, cluster = truth[order], score[order], cluster[order]
    # The code for a known number of ones is exact where clusters are small and coded in one step;
    # for large ones the plain code is a bound of it, and the loss of ½·log2 M bits is nothing.
    exact = exchangeable and int(np.bincount(cluster).max()) <= EXACT
    ranges = ranges and not exact
    step = cluster if exact else _steps(cluster, m)
    code = shuffled_gains if exact else gains
    ends = np.cumsum(np.bincount(step))
    total = len(ends)
    rows = [np.empty(total) for _ in range(4 * len(LEVELS) + len(MIDDLE) + ranges)]
    start = 0
    while start < total:
        stop = min(total, max(1, 2 * start))
        upto = int(ends[stop - 1])
        first_row = int(ends[start - 1]) if start else 0
        own_scores = score[: int((cluster == 0).sum())] if not start else score[:first_row]
        cuts = _cuts(truth[:first_row], score[:first_row], own_scores)
        known = truth[:upto], score[:upto], step[:upto]
        every = _single(*known, stop, cuts)
        if ranges:
            every.append(_ranged(*known, stop, np.quantile(own_scores, RANGES, method="lower")))
        for row, predictor in zip(rows, every, strict=True):
            row[start:stop] = code(predictor)[start:stop]
        start = stop
    first = np.searchsorted(step, np.arange(total))
    gain = grouped(mixture(rows), cluster[first])
    if exchangeable and not exact:
        table = np.bincount(cluster * 2 + truth, minlength=2 * m).reshape(m, 2).astype(float)
        gain = gain - _known(table)
    return gain


def _steps(cluster: Whole, m: int) -> Whole:
    """Number the steps: each cluster in shares of 1/64, 1/64, 1/32 … ½, where rows suffice."""
    sizes = np.bincount(cluster, minlength=m)
    place = np.arange(len(cluster)) - (np.cumsum(sizes) - sizes)[cluster]
    share = 64.0 * place / sizes[cluster]
    local = np.where(share < 1.0, 0, np.floor(np.log2(np.maximum(share, 1.0))) + 1)
    local = np.where(sizes[cluster] < 64, 0, local)
    codes = cluster * 8 + local.astype(np.int64)
    return np.asarray(np.unique(codes, return_inverse=True)[1], np.int64)


def _cuts(truth: Whole, score: Array, own_scores: Array) -> Array:
    """Thresholds at the levels of either class so far, from above and from below."""
    scores_0, scores_1 = score[truth == 0], score[truth == 1]
    parts = [np.quantile(own_scores, MIDDLE, method="lower")]
    if len(scores_0) and len(scores_1):
        parts += [np.quantile(part, 1 - LEVELS, method="higher") for part in (scores_0, scores_1)]
        parts += [np.quantile(part, LEVELS, method="lower") for part in (scores_0, scores_1)]
    else:
        # One class only so far: take both tails of the scores, and their middle.
        shares = np.concatenate([1 - LEVELS, 0.5 - LEVELS / 2, LEVELS, 0.5 + LEVELS / 2])
        parts.append(np.quantile(own_scores, shares, method="lower"))
    return np.concatenate(parts, dtype=np.float64)


def _single(truth: Whole, score: Array, step: Whole, m: int, cuts: Array) -> list[Predictor]:
    """One predictor a cut: what lies strictly above it, and the rest."""
    order = np.argsort(cuts)
    k = len(cuts) + 1
    passed = np.searchsorted(cuts[order], score, side="left")
    flat = (step * k + passed) * 2 + truth
    table = np.bincount(flat, minlength=m * k * 2).reshape(m, k, 2).astype(float)
    above = table[:, ::-1].cumsum(1)[:, ::-1]
    both = np.stack([above[:, 1:], above[:, :1] - above[:, 1:]], 2)
    rank = np.empty(len(cuts), np.int64)
    rank[order] = np.arange(len(cuts))
    return [Predictor(both[:, r], FAIR) for r in rank]


def _ranged(truth: Whole, score: Array, step: Whole, m: int, edges: Array) -> Predictor:
    k = len(edges) + 1
    flat = (step * k + np.searchsorted(edges, score, side="left")) * 2 + truth
    table = np.bincount(flat, minlength=m * k * 2).reshape(m, k, 2).astype(float)
    return Predictor(table, FAIR)


def _known(table: Array) -> Array:
    """M − log2 C(M, ones) by cluster: what knowing the number of ones is worth.

    Args:
        table: (m, 2) zeros and ones of each cluster.
    """
    from scipy.special import gammaln

    size = table.sum(1)
    choose = gammaln(size + 1) - gammaln(table + 1).sum(1)
    return np.asarray(size - choose / LN2)


def grouped(values: NDArray[Any], cluster: Whole) -> Array:
    """Return Σ values by cluster, (m,)."""
    sums = np.bincount(cluster, weights=values, minlength=int(cluster.max()) + 1)
    return np.asarray(sums, np.float64)
