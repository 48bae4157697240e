"""Certified Shannon bits when only the cluster is independent: a mixture code and a bet.

For one cluster of M secrets drawn uniformly and whatever the attacker answered (O), every law Q
gives I(S; O) ≥ E[log2 Q(S|O)/π(S)], with any dependence inside. Q is a mixture of the prior and of
simple predictors that learn from earlier clusters, so that no cluster can cost more than
log2(1/weight of the prior) bits *in all*, however large it is. A betting bound on the mean of these
gains then holds with the cluster as the unit. Proof and comparison: ``design/measurement.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.sequential import ratio_lower

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LN2 = math.log(2.0)
TAILS = (0.001, 0.0022, 0.005, 0.011, 0.025, 0.05, 0.11, 0.25)
"""Shares of the scores in a tail, fixed beforehand; both tails and the median are tried."""


@dataclass(frozen=True, slots=True)
class Predictor:
    """What a predictor knows: outcomes counted by context, for each cluster.

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


def mixture(each: Sequence[Array]) -> Array:
    """Return the gains of the Bayesian mixture of predictors, equally trusted at the start.

    Args:
        each: (m,) gains of every predictor.
    """
    table = np.stack(each)
    path = np.cumsum(table, 1)
    whole = np.logaddexp2.reduce(path, axis=0) - math.log2(len(table))
    return np.diff(whole, prepend=0.0)


def certify(gain: Array, sizes: Array, alpha: float) -> float:
    """Return the certified Shannon bits per use, with the cluster as the unit.

    Args:
        gain: (m,) log2 likelihood ratios of a predictor that saw only earlier clusters.
        sizes: (m,) uses of each cluster.
        alpha: error level.
    """
    m = len(gain)
    if m == 0:
        return 0.0
    # The weight that balances what the prior costs a good cluster against what it saves in a bad.
    share = 1.0 - alpha ** (1.0 / m)
    weight = share / (1.0 + share)
    floor = math.log2(weight)
    held = np.logaddexp2(floor, math.log2(1.0 - weight) + gain)
    return max(0.0, ratio_lower(held, sizes, alpha, floor=floor))


def score_gains(
    truth: Whole, score: Array, cluster: Whole, *, exchangeable: bool, ranges: bool
) -> Array:
    """Return the mixture gains of scores about secret bits, (m,) bits by cluster.

    Contexts are score ranges between pooled quantiles. A cluster's thresholds come from its own
    scores and those before it, never from secrets and never from later clusters.

    Args:
        truth: (n,) secret bits.
        score: (n,) scores.
        cluster: (n,) integers 0..m−1; the order is the order of learning.
        exchangeable: secrets were only shuffled, not drawn by fair coins: their number in each
            cluster is then taken as known to all, which costs about ½·log2 M bits a cluster.
        ranges: also try one predictor on coarse score ranges, not only single thresholds.
    """
    m = int(cluster.max()) + 1
    shares = np.array([*TAILS, 0.5, *(1.0 - t for t in TAILS)])
    rows = [np.empty(m) for _ in range(len(shares) + ranges)]
    order = np.argsort(cluster, kind="stable")
    ends = np.cumsum(np.bincount(cluster, minlength=m))
    truth, score, cluster = truth[order], score[order], cluster[order]
    start = 0
    while start < m:
        stop = min(m, max(1, 2 * start))
        # Thresholds of this epoch: past scores, and for the first cluster its own.
        seen = int(ends[max(start - 1, 0)])
        cuts = np.quantile(score[:seen], 1.0 - shares, method="lower")
        upto = int(ends[stop - 1])
        place = len(cuts) - np.searchsorted(np.sort(cuts), score[:upto], side="left")
        for e, predictor in enumerate(
            _of_scores(truth[:upto], place, cluster[:upto], stop)[: len(rows)]
        ):
            rows[e][start:stop] = gains(predictor)[start:stop]
        start = stop
    gain = mixture(rows)
    return gain - _shuffle_cost(truth, cluster, m) if exchangeable else gain


def _of_scores(truth: Whole, place: Whole, cluster: Whole, m: int) -> list[Predictor]:
    """One predictor a threshold, and one on coarse ranges; ``place`` 0 is the highest range."""
    ranges = 2 * len(TAILS) + 2
    flat = (cluster * ranges + place) * 2 + truth
    table = np.bincount(flat, minlength=m * ranges * 2).reshape(m, ranges, 2).astype(float)
    fair = np.array([0.5, 0.5])
    above = np.cumsum(table, 1)
    whole = above[:, -1:]
    single = [
        Predictor(np.concatenate([above[:, r : r + 1], whole - above[:, r : r + 1]], 1), fair)
        for r in range(ranges - 1)
    ]
    edges = [0, 3, 5, 7, 8, 9, 10, 11, 13, 15]
    return [*single, Predictor(np.add.reduceat(table, edges, axis=1), fair)]


def _shuffle_cost(truth: Whole, cluster: Whole, m: int) -> Array:
    """M − log2 C(M, ones): what knowing the number of ones in a cluster is worth."""
    from scipy.special import gammaln

    size = np.bincount(cluster, minlength=m).astype(float)
    ones = np.bincount(cluster, weights=truth, minlength=m)
    choose = gammaln(size + 1) - gammaln(ones + 1) - gammaln(size - ones + 1)
    return np.asarray(size - choose / LN2)


def symbol_gains(truth: Whole, guess: Whole, cluster: Whole, alphabet: int) -> Array:
    """Return the mixture gains of guessed symbols (−1 = erased) about K-ary secrets."""
    live = guess >= 0
    m, one = int(cluster.max()) + 1, np.zeros(len(truth), np.int64)
    wrong = (guess != truth).astype(np.int64)
    hits = _table(m, (cluster[live], one[live], wrong[live]), (1, 2))
    each = [gains(Predictor(hits, np.array([1.0 / alphabet, 1.0 - 1.0 / alphabet])))]
    if alphabet <= 16:
        whole = _table(m, (cluster, guess + 1, truth), (alphabet + 1, alphabet))
        each.append(gains(Predictor(whole, np.full(alphabet, 1.0 / alphabet))))
    return mixture(each)


def rank_gains(rank: Whole, cluster: Whole, candidates: int) -> Array:
    """Return the mixture gains of ranks 1..R: first or not, and by powers of two."""
    m, one = int(cluster.max()) + 1, np.zeros(len(rank), np.int64)
    top = _table(m, (cluster, one, (rank > 1).astype(np.int64)), (1, 2))
    each = [gains(Predictor(top, np.array([1.0 / candidates, 1.0 - 1.0 / candidates])))]
    edges = 2 ** np.arange(candidates.bit_length(), dtype=np.int64)
    bucket = np.searchsorted(edges, rank, side="right") - 1
    widths = np.diff([*edges.tolist(), candidates + 1]).astype(float)
    by_size = _table(m, (cluster, one, bucket), (1, len(edges)))
    each.append(gains(Predictor(by_size, widths / candidates)))
    return mixture(each)


def _table(m: int, where: tuple[Whole, Whole, Whole], shape: tuple[int, int]) -> Array:
    """Count rows by (cluster, context, outcome)."""
    flat = np.ravel_multi_index(where, (m, *shape))
    return np.bincount(flat, minlength=m * shape[0] * shape[1]).reshape(m, *shape).astype(float)


def grouped(values: NDArray[Any], cluster: Whole) -> Array:
    """Return Σ values by cluster, (m,)."""
    sums = np.bincount(cluster, weights=values, minlength=int(cluster.max()) + 1)
    return np.asarray(sums, np.float64)
