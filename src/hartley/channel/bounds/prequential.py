"""Certified bits of a reader that learns from earlier uses: a prequential code and a bet.

Each use is read by a posterior f learned from uses before it only. Given these, the mean of
log2 f(S | score)/π(S) is at most I_F, whatever f was learned; a betting bound on the mean of these
gains therefore certifies I_F, and with it I(S; score). Independent rows are read in groups that
match one row of the rarer secret with as many of the other as there are for it, so that the prior
is uniform whatever the class sizes. Clusters are read whole, each counting once. Proofs:
``design/measurement.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.scores.monotone import Reader, place, readers
from hartley.infotheory.e_values import LN2, units_lower

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

FIRST = 16
"""Groups that the first reader learns from; they are not bet on."""
GROWTH = 1.25
"""The readers learn again when the uses behind them have grown by this factor."""
MEMORY = 1 << 15
"""Most rows of either secret that a reader learns from: the latest ones."""
UNITS = 8192
"""Most units that are bet on; where there are more, means of neighbours take their place."""


@dataclass(frozen=True, slots=True)
class Gains:
    """Gains of the units of a code, and the least that each could have been.

    Attributes:
        values: (units,) bits per use.
        floors: (units,) a limit from below of each value, known before it.
    """

    values: Array
    floors: Array

    def lower(self, alpha: float) -> float:
        """Return the certified bits per use at one error level, at least 0."""
        return units_lower(self.values, self.floors, alpha, least=0.0)

    def lowers(self, alphas: Sequence[float]) -> list[tuple[float, float]]:
        """Return pairs of an error level and the certified bits per use at it."""
        return [(alpha, self.lower(alpha)) for alpha in alphas]


def row_gains(truth: Whole, score: Array, pieces: int, rng: np.random.Generator) -> Gains:
    """Return the gains of independent rows, read in matched groups in random order.

    Args:
        truth: (n,) secret bits, both present.
        score: (n,) scores.
        pieces: k of the readers.
        rng: shuffles the rows of either secret, so that their order cannot matter.
    """
    sides = [rng.permutation(score[truth == secret]) for secret in (0, 1)]
    rare = int(len(sides[1]) <= len(sides[0]))
    n = len(sides[rare])
    many = len(sides[1 - rare]) // n
    scores = sides[rare], sides[1 - rare][: n * many].reshape(n, many)
    secrets = rare, 1 - rare
    values, floors = [], []
    totals: Array | None = None
    for start, stop in stages(n):
        learned = _learn(scores, secrets, start, pieces)
        each = _matched(learned, scores, secrets, start, stop)
        # The reader that gained most so far reads next.
        leader = int(totals.argmax()) if totals is not None else 0
        totals = each.sum(1) + (0.0 if totals is None else totals)
        values.append(each[leader])
        f = learned[leader].posterior
        floor = (math.log2(2.0 * f.min()) + math.log2(2.0 * (1.0 - f.max()))) / 2
        floors.append(np.full(stop - start, floor))
    if not values:
        return Gains(np.empty(0), np.empty(0))
    return thinned(np.concatenate(values), np.concatenate(floors))


def stages(n: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of each run of units that are read by the same reader."""
    start = FIRST
    while start < n:
        stop = min(n, int(start * GROWTH))
        yield start, stop
        start = stop


def _learn(
    scores: tuple[Array, Array], secrets: tuple[int, int], upto: int, pieces: int
) -> tuple[Reader, ...]:
    past = [part[:upto].ravel()[-MEMORY:] for part in scores]
    truth = np.concatenate([np.full(len(p), s) for p, s in zip(past, secrets, strict=True)])
    score = np.concatenate(past)
    return readers(truth, score, np.ones(len(score)), 2.0 * min(map(len, past)), pieces)


def _matched(
    learned: tuple[Reader, ...],
    scores: tuple[Array, Array],
    secrets: tuple[int, int],
    start: int,
    stop: int,
) -> Array:
    """Return the gains of groups under each reader, (readers, groups)."""
    # All readers that were learned together have the same bins.
    rare, other = (place(part[start:stop], learned[0].edges) for part in scores)
    levels = [[reader.levels(secret) for secret in secrets] for reader in learned]
    return np.stack([(of_rare[rare] + of_other[other].mean(1)) / 2 for of_rare, of_other in levels])


def thinned(values: Array, floors: Array) -> Gains:
    """Means of neighbouring units, where they are very many: as good for a bet, and fewer."""
    size = -(-len(values) // UNITS)
    if size == 1:
        return Gains(values, floors)
    starts = np.arange(0, len(values), size)
    counts = np.diff([*starts, len(values)])
    return Gains(np.add.reduceat(values, starts) / counts, np.minimum.reduceat(floors, starts))


@dataclass(frozen=True, slots=True)
class ClusterGains:
    """Gains of whole clusters, not hedged yet: ``lower`` depends on how they are hedged.

    Attributes:
        log_ratios: (m, draws) log2 Q(S | O)/π(S) of each cluster's uses, under readers that learned
            from clusters before it; several draws where its uses were thinned to even classes.
        sizes: (m,) uses that count in each.
    """

    log_ratios: Array
    sizes: Array

    def lower(self, alpha: float) -> float:
        """Return the certified bits per use, each cluster counting once, at least 0."""
        return self.lowers([alpha])[0][1]

    def lowers(self, alphas: Sequence[float]) -> list[tuple[float, float]]:
        """Return pairs of an error level and the certified bits per use at it.

        A cluster's law is w·π + (1 − w)·Q: it cannot cost more than log2(1/w) bits in all. The
        floor *per use* must not depend on the cluster's own size, so w = 2^(floor · size), where
        floor · (the middle size so far) = log2 of the best weight for m alike clusters.
        """
        m = len(self.sizes) - 1
        if m < 1:
            return [(alpha, 0.0) for alpha in alphas]
        middle = np.concatenate(
            [np.full(stop - start, np.median(self.sizes[:start])) for start, stop in runs_of(m + 1)]
        )
        size = self.sizes[1:, None]
        pairs = []
        for alpha in alphas:
            share = 1.0 - alpha ** (1.0 / m)
            floors = math.log2(share / (1.0 + share)) / middle
            hedge = floors[:, None] * size
            with np.errstate(divide="ignore"):
                rest = np.log2(-np.expm1(hedge * LN2))
            hedged = np.logaddexp2(hedge, rest + self.log_ratios[1:])
            values = (hedged / size).mean(1)
            pairs.append((alpha, units_lower(values, floors, alpha, least=0.0)))
        return pairs


def runs_of(m: int) -> Iterator[tuple[int, int]]:
    """Yield the first and the end of each run of clusters that the same reader reads.

    Readers learn again after each of the first 64 clusters, then as in ``stages``. Cluster 0 is not
    read: nothing was learned before it.
    """
    start = 1
    while start < m:
        stop = start + 1 if start < 64 else min(m, int(start * GROWTH))
        yield start, stop
        start = stop


def cluster_gains(
    truth: Whole,
    score: Array,
    cluster: Whole,
    pieces: int,
    rng: np.random.Generator,
    *,
    exchangeable: bool,
) -> ClusterGains:
    """Return the gains of clusters whose uses may depend on each other in any way.

    Args:
        truth: (n,) secret bits.
        score: (n,) scores.
        cluster: (n,) integers 0..m−1; the order is the order of learning.
        pieces: k of the readers.
        rng: thins clusters of unequal classes.
        exchangeable: secrets were only shuffled, not drawn by fair coins: the bits that the number
            of ones carries are then taken off.
    """
    order = np.argsort(cluster, kind="stable")
    truth, score, cluster = truth[order], score[order], cluster[order]
    sizes = np.bincount(cluster)
    ones = np.bincount(cluster, weights=truth).astype(np.int64)
    counted = sizes if not exchangeable else 2 * np.minimum(ones, sizes - ones)
    both = counted > 0
    # A cluster of one secret only has no use at a uniform prior.
    if not both.all():
        rows = both[cluster]
        truth, score = truth[rows], score[rows]
        cluster = np.unique(cluster[rows], return_inverse=True)[1]
        sizes, ones, counted = sizes[both], ones[both], counted[both]
    m = len(sizes)
    if m < 2:
        return ClusterGains(np.zeros((m, 1)), counted.astype(float))
    uneven = exchangeable and bool((counted < sizes).any())
    draws = DRAWS if uneven else 1
    ends = np.cumsum(sizes)
    log_ratios = np.zeros((m, draws))
    weight = 1.0 / sizes[cluster]
    totals: Array | None = None
    for start, stop in runs_of(m):
        upto = int(ends[start - 1])
        since = max(0, upto - 2 * MEMORY)
        rows = slice(int(ends[start - 1]), int(ends[stop - 1]))
        past = truth[since:upto]
        if past.min() == past.max():
            continue
        rare = 2.0 * min(int(past.sum()), len(past) - int(past.sum()))
        learned = readers(past, score[since:upto], weight[since:upto], rare, pieces)
        local = cluster[rows] - start
        leader = int(totals.argmax()) if totals is not None else 0
        sums = np.array([_mean_gains(r, truth[rows], score[rows], local) for r in learned])
        totals = sums if totals is None else totals + sums
        log_ratios[start:stop] = _log_ratios(
            learned[leader],
            (truth[rows], score[rows], local),
            counted[start:stop],
            rng if uneven else None,
            exchangeable=exchangeable,
        )
    return ClusterGains(log_ratios, counted.astype(float))


DRAWS = 8
"""Draws that thin clusters of unequal classes to even ones: the mean of codes is a code."""
EXACT = 4096
"""Largest cluster for which what the number of ones says is computed exactly."""


def _mean_gains(reader: Reader, truth: Whole, score: Array, cluster: Whole) -> float:
    """Return Σ over clusters of the mean gain of either secret, by which readers are compared."""
    gain = reader.gain(score, truth)
    key = cluster * 2 + truth
    number = np.bincount(key)
    return float((np.bincount(key, weights=gain) / np.maximum(number, 1)).sum()) / 2


def _log_ratios(
    reader: Reader,
    rows: tuple[Whole, Array, Whole],
    counted: Whole,
    thinning: np.random.Generator | None,
    *,
    exchangeable: bool,
) -> Array:
    truth, score, cluster = rows
    gain = reader.gain(score, truth)
    chance = reader.posterior[place(score, reader.edges)]
    columns = []
    for _ in range(1 if thinning is None else DRAWS):
        keep = slice(None) if thinning is None else _even(truth, cluster, counted, thinning)
        sums = np.bincount(cluster[keep], weights=gain[keep], minlength=len(counted))
        if exchangeable:
            # Where the number of ones speaks *against* the code, knowing it would gain bits that no
            # use alone has: these are not counted.
            sums = sums - np.maximum(counting(chance[keep], counted), 0.0)
        columns.append(sums)
    return np.stack(columns, 1)


def _even(truth: Whole, cluster: Whole, counted: Whole, rng: np.random.Generator) -> Any:
    """Return which rows to keep so that each cluster has as many ones as zeros, at random."""
    key = cluster * 2 + truth
    order = np.lexsort((rng.random(len(key)), key))
    first = np.searchsorted(key[order], key[order])
    rank = np.empty(len(key), np.int64)
    rank[order] = np.arange(len(key)) - first
    return rank < counted[cluster] // 2


def counting(chance: Array, sizes: Whole) -> Array:
    """Return what the number of ones says of each cluster's secrets, in bits.

    Of 2n secrets n are ones: a code that knows it has log2 P(n ones) + log2(4^n / C(2n, n)) bits
    less to say, where P is the chance of n ones under the code's own product law, a sum of
    independent bits of unequal chances (one discrete Fourier transform).

    Args:
        chance: (n,) chance of secret 1 of each row under the code, cluster by cluster.
        sizes: (m,) even numbers of rows.
    """
    from scipy.special import gammaln

    half = sizes / 2
    prior = sizes - (gammaln(sizes + 1.0) - 2.0 * gammaln(half + 1.0)) / LN2
    starts = np.concatenate([[0], np.cumsum(sizes)])
    log_chance = np.zeros(len(sizes))
    for size in np.unique(sizes[sizes <= EXACT]).tolist():
        which = np.flatnonzero(sizes == size)
        wave = np.exp(2j * np.pi * np.arange(size + 1) / (size + 1))
        per_part = max(1, (1 << 21) // (size * (size + 1)))
        for part in np.split(which, range(per_part, len(which), per_part)):
            p = chance[starts[part][:, None] + np.arange(size)]
            spectrum = np.ones((len(part), size + 1), complex)
            if size <= 64:
                spectrum = (1.0 - p[:, :, None] + p[:, :, None] * wave).prod(1)
            else:
                for i, row in enumerate(p):
                    level, number = np.unique(row, return_counts=True)
                    logs = np.log(1.0 - level[:, None] + level[:, None] * wave)
                    spectrum[i] = np.exp(number @ logs)
            total = (spectrum * wave ** (-size / 2)).sum(1).real / (size + 1)
            # Rounding may lose a chance below 1e-12; a larger one is the safe side.
            log_chance[part] = np.log2(np.clip(total, 0.0, 1.0) + 1e-12)
    return np.asarray(np.minimum(log_chance, 0.0) + prior)
