"""I_F of a score: the point, the upper end and the certified lower ends, all of one quantity.

I_F = max over posteriors f in F of E[log2 f(S | score)/π(S)] at the uniform prior, with F of
``scores.monotone``. Independent rows: each secret weighs ½. Clusters: the mean over clusters of
bits a use, each cluster counting once; within one its uses weigh alike where coins drew the
secrets, else each secret weighs ½.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds.prequential import cluster_gains, row_gains
from hartley.channel.bounds.score_audit import certify_scores
from hartley.channel.scores.monotone import (
    LN2,
    bits_of,
    class_table,
    edges_of,
    fit_posterior,
    place,
    smoothed,
)
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.channel.scores.lazy_sort import ScorePair

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

HALVINGS = 13
"""Error levels at which a row is certified: alpha, alpha/2, … alpha/4096, for a gate that weighs
many limits together."""
RARE = 20
"""Records of the rarer secret below which no upper end below the ceiling is given."""
FEW_CLUSTERS = 8
"""Clusters below which the same holds."""
FROM = 250
"""Records of the rarer secret from which the prequential code has half of the error level."""
FOLDS = 10
MANY = 1 << 18
LEAVE_ONE = 32
"""Up to this many clusters the point leaves out one at a time."""


@dataclass(frozen=True, slots=True)
class WeighedRows:
    """Rows with their bins and weights, prepared once for the point and the upper end.

    Attributes:
        truth: (n,) secret bits.
        where: (n,) bins.
        bins: how many.
        weight: (n,) weights that sum to 1.
        fold: (n,) which rows are left out together.
        cluster: (n,) 0..m−1, or None.
        rows: how many rows of even classes these are worth.
    """

    truth: Whole
    where: NDArray[Any]
    bins: int
    weight: Array
    fold: NDArray[Any]
    cluster: Whole | None
    rows: float


@dataclass(frozen=True, slots=True)
class Binned:
    """Scores in bins, whatever their secrets: prepared once for a row and its null arm.

    Attributes:
        where: (n,) bins.
        bins: how many.
    """

    where: NDArray[Any]
    bins: int

    @classmethod
    def of(cls, score: Array) -> Binned:
        """Return the bins of scores."""
        edges = edges_of(score)
        return cls(place(score, edges).astype(np.int16), len(edges))


def weigh(
    truth: Whole,
    score: Array | Binned,
    cluster: Whole | None,
    rng: np.random.Generator,
    *,
    coins: bool,
) -> WeighedRows:
    """Return rows with bins, weights and folds; ``coins``: fair coins drew the secrets."""
    binned = score if isinstance(score, Binned) else Binned.of(score)
    fold = folds_of(len(truth), cluster, rng)
    weight = weights(truth, cluster, coins)
    rare = 2.0 * min(int(truth.sum()), len(truth) - int(truth.sum()))
    return WeighedRows(truth, binned.where, binned.bins, weight, fold, cluster, rare)


def folds_of(n: int, cluster: Whole | None, rng: np.random.Generator) -> NDArray[Any]:
    """Return what is left out together: rows at random, or whole clusters where there are two."""
    if cluster is None or cluster.max() == 0:
        # A permutation of very many rows takes longer than all that is done with the folds.
        return rng.permutation(n) % FOLDS if n < MANY else rng.integers(0, FOLDS, n, dtype=np.int8)
    m = int(cluster.max()) + 1
    return np.asarray(cluster % (m if m <= LEAVE_ONE else FOLDS))


def weights(truth: Whole, cluster: Whole | None, coins: bool) -> Array:
    """Return the weight of each row in E[bits a use], (n,) with sum 1."""
    if cluster is None:
        return np.asarray((0.5 / np.bincount(truth, minlength=2))[truth])
    m = int(cluster.max()) + 1
    if coins:
        return np.asarray(1.0 / (m * np.bincount(cluster)[cluster]))
    number = np.bincount(cluster * 2 + truth, minlength=2 * m).reshape(m, 2)
    both = np.asarray((number > 0).all(1))
    if not both.any():
        return np.full(len(truth), 1.0 / len(truth))
    weight = both[cluster] * 0.5 / (both.sum() * np.maximum(number[cluster, truth], 1))
    return np.asarray(weight)


def in_sample(rows: WeighedRows, pieces: int) -> tuple[float, Array]:
    """Return the maximum over F on the sample, and (n,) the gains of its rows, in bits."""
    table = class_table(rows.truth, rows.where, rows.bins, rows.weight)
    posterior = fit_posterior(table, pieces)
    each = np.stack([1.0 - posterior, posterior], 1)
    with np.errstate(divide="ignore"):
        levels = np.log2(2.0 * each)
    # A bin of weight 0 for a secret may have chance 0 there: no row is read with it.
    return bits_of(table, posterior), levels[rows.where, rows.truth]


def halfway(raw: float, held_out: float) -> float:
    """Return the point: halfway between the maximum on the sample and the cross-fitted mean gain.

    The first is too high and the second too low by about as much, the cost of learning a posterior:
    their mean is nearly unbiased, also where nothing leaks (docs/coverage.md).
    """
    return (raw + held_out) / 2.0


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Gains of rows that were read by posteriors fitted without their fold.

    Attributes:
        mean: bits a use.
        by_cluster: (m,) bits a use of each cluster, whose mean that is; None without clusters.
    """

    mean: float
    by_cluster: Array | None


def cross_fitted(rows: WeighedRows, pieces: int) -> HeldOut:
    """Return the mean gain of rows read by posteriors that were fitted without their fold."""
    folds = int(rows.fold.max()) + 1
    key = rows.fold.astype(np.int64)
    key *= rows.bins
    key += rows.where
    key *= 2
    key += rows.truth
    flat = np.bincount(key, weights=rows.weight, minlength=2 * rows.bins * folds)
    tables = flat.reshape(folds, rows.bins, 2)
    whole, total = tables.sum(0), 0.0
    levels = np.zeros((folds, rows.bins, 2))
    for k, part in enumerate(tables):
        rest = whole - part
        share = float(rest.sum())
        if share <= 0.0 or not (rest.sum(0) > 0).all():
            continue
        rest = np.maximum(rest, 0.0) / share
        posterior = smoothed(rest, fit_posterior(rest, pieces), rows.rows * share)
        levels[k] = np.log2(2.0 * np.stack([1.0 - posterior, posterior], 1))
        total += float((part * levels[k]).sum())
    if rows.cluster is None:
        return HeldOut(total, None)
    gains = rows.weight * levels.ravel()[key]
    return HeldOut(total, by_cluster(gains, rows.weight, rows.cluster))


def by_cluster(gains: Array, weight: Array, cluster: Whole) -> Array:
    """Return the mean gain of each cluster that counts.

    Args:
        gains: (n,) gains times weights.
        weight: (n,) weights that sum to 1, with the same sum in each cluster that counts.
        cluster: (n,) integers 0..m−1.
    """
    counts = np.bincount(cluster, weights=weight) > 0
    return np.asarray(np.bincount(cluster, weights=gains)[counts] * counts.sum())


def one_reader(lows: list[tuple[float, float]], means: Array | None) -> list[tuple[float, float]]:
    """Return the bounds, each at most the lower t limit of what one reader of all clusters gains.

    The code of a cluster may give up its reader where the whole cluster speaks against it: it
    certifies the bits of the whole cluster. Where some clusters leak and others do not, these are
    more than I_F (``design/measurement.md`` §5).

    Args:
        lows: error levels and certified bits.
        means: (m,) held-out bits a use of each cluster.
    """
    from scipy.special import stdtrit

    if means is None or len(means) < 2:
        return lows
    m, value = len(means), float(means.mean())
    error = float(means.std(ddof=1)) / math.sqrt(m)
    return [
        (a, max(0.0, min(low, value - float(stdtrit(m - 1, 1 - a)) * error))) for a, low in lows
    ]


def upper_end(rows: WeighedRows, raw: float, gains: Array, alpha: float) -> float:
    """Return the maximum on the sample plus z (t over clusters) standard errors; 1 where too few.

    Bits bend upwards in the rates that they are computed from: the second term of their series is
    added, which for n independent rows is z²/(2n ln 2). Without it a score of two values of which
    300 rows were read with 60 % right is covered in 90 % of runs, not in 95 %. Answers that are all
    alike show no spread: the limit is then that of a leak so rare that no row had it.

    Args:
        rows: the rows.
        raw, gains: of ``in_sample``.
        alpha: error of this end.
    """
    from scipy.special import ndtri, stdtrit

    used = rows.weight > 0
    if rows.cluster is None:
        number = np.bincount(rows.truth, minlength=2)
        if number.min() < RARE:
            return 1.0
        spread = [float(gains[rows.truth == s].var(ddof=1)) / number[s] for s in (0, 1)]
        reach = float(ndtri(1.0 - alpha)) * 0.5 * math.sqrt(sum(spread))
        high = raw + reach + bend(reach, raw, gains, rows.weight)
        # What shows one of the secrets so seldom that no row did.
        unseen = 1.0 - alpha ** (1.0 / float(number.min()))
        return max(high, float(binary_channel.bits(unseen, 0.0)))
    m = int(rows.cluster.max()) + 1
    gain = np.where(used, gains, 0.0)
    sums = np.bincount(rows.cluster, weights=rows.weight * gain, minlength=m)
    counts = np.bincount(rows.cluster, weights=rows.weight, minlength=m)
    m = int((counts > 0).sum())
    if m < FEW_CLUSTERS:
        return 1.0
    means = sums[counts > 0] * m
    reach = float(stdtrit(m - 1, 1.0 - alpha)) * float(means.std(ddof=1)) / math.sqrt(m)
    return raw + reach + bend(reach, raw, gain, rows.weight)


def bend(reach: float, raw: float, gains: Array, weight: Array) -> float:
    """Return the second-order term of an upper end, in bits: reach²/(2 ln 2 · variance of a gain).

    A relative entropy at a rate that is off by z standard errors is off by z²/(2n ln 2) beyond its
    slope (Wilks); reach² is z²/n times the variance of one row's gain, times the design effect.
    """
    variance = float(weight @ gains**2) - raw * raw
    return reach * reach / (2.0 * LN2 * variance) if variance > 1e-12 else 0.0


@dataclass(frozen=True, slots=True)
class Learned:
    """What posteriors of a family read from scores, with both ends.

    Attributes:
        point, raw: bits a use, and the maximum on the sample before the correction.
        high: the calibrated upper end; 1 where it was not asked for.
        lows: pairs of an error level and the certified bits at it; empty where none was asked for.
        method: of the lows.
        rows: how many rows of even classes these are worth.
        shuffled: secrets of clusters are taken as shuffled, not drawn by fair coins.
    """

    point: float
    raw: float
    high: float
    lows: tuple[tuple[float, float], ...]
    method: str
    rows: float
    shuffled: bool


def learned(
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    *,
    scores: ScorePair,
    binned: Binned | None = None,
    high: bool = True,
    halvings: int = HALVINGS,
) -> Learned:
    """Return the bits a use that the best posterior of the declared family reads, with both ends.

    Args:
        truth, score, cluster: the rows.
        spec: the declaration: error level, levels, pieces, and whether coins drew the secrets.
        rng: of folds and the code.
        scores: the rows by secret.
        binned: the scores in bins, where they were binned before.
        high: whether to compute the upper end.
        halvings: at how many error levels to certify; 0 for none.
    """
    fair = spec.planted and not exchangeable(truth, cluster, spec)
    rows = weigh(truth, score if binned is None else binned, cluster, rng, coins=fair)
    raw, gains = in_sample(rows, spec.pieces)
    held_out = cross_fitted(rows, spec.pieces)
    top = upper_end(rows, raw, gains, spec.alpha) if high else 1.0
    worth, shuffled = rows.rows, cluster is not None and not fair
    del rows, gains  # of ten million rows, as large as the table
    lows: tuple[tuple[float, float], ...] = ()
    method = "point"
    if halvings:
        lows, method = certified(
            truth,
            score,
            cluster,
            spec,
            rng,
            scores=scores,
            exchangeable=shuffled,
            means=held_out.by_cluster,
            halvings=halvings,
        )
    return Learned(halfway(raw, held_out.mean), raw, top, lows, method, worth, shuffled)


def certified(
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    *,
    scores: ScorePair,
    exchangeable: bool,
    means: Array | None,
    halvings: int = HALVINGS,
) -> tuple[tuple[tuple[float, float], ...], str]:
    """Return certified bits at alpha, alpha/2, …, and the method.

    Args:
        truth, score, cluster: the rows.
        spec: the declaration: error level, levels, pieces.
        rng: of the code.
        scores: the rows by secret.
        exchangeable: secrets were shuffled, not drawn by fair coins.
        means: (m,) held-out bits a use of each cluster, of ``cross_fitted``.
        halvings: at how many error levels.
    """
    alphas = [spec.alpha / 2**k for k in range(halvings)]
    if cluster is not None:
        code = cluster_gains(truth, score, cluster, spec.pieces, rng, exchangeable=exchangeable)
        m = max(1, len(code.sizes))
        lows = one_reader(code.lowers(alphas), means)
        return falling(lows), f"prequential code and betting over {m} clusters"
    rare = min(len(scores.positives), len(scores.negatives))
    share = 0.5 if rare >= FROM else 0.0
    gains = row_gains(truth, score, spec.pieces, rng) if share else None
    lows = []
    for alpha in alphas:
        level = (1.0 - share) * alpha
        low = certify_scores(scores, spec, of=("bits",), alpha=level)[0]["bits"]
        if gains is not None:
            low = max(low, gains.lower(share * alpha))
        lows.append((alpha, low))
    levels = "Fisher product over pre-declared levels"
    return falling(lows), levels if gains is None else f"{levels}, or prequential code and betting"


def falling(lows: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """Return the pairs with each bound at most those of larger error levels, so that both fall.

    Each keeps its own error level: the larger of two levels' bounds would have the sum of theirs.
    """
    bounds = np.minimum.accumulate([low for _, low in lows])
    return tuple((alpha, float(b)) for (alpha, _), b in zip(lows, bounds, strict=True))


def exchangeable(truth: Whole, cluster: Whole | None, spec: ChannelSpec) -> bool:
    """Whether secrets must be taken as shuffled: not planted by coins, or balanced by design."""
    if cluster is None:
        return not spec.planted
    ones, sizes = np.bincount(cluster, weights=truth), np.bincount(cluster)
    same = bool((ones == ones[0]).all()) and (len(ones) > 1 or 2 * ones[0] == sizes[0])
    return not spec.planted or (bool(sizes.max() > 1) and same)


def coins_are_shared(truth: Whole, cluster: Whole | None) -> bool:
    """Whether the rows of every cluster have one secret, as if one coin had settled them all."""
    if cluster is None or int(np.bincount(cluster).max()) == 1:
        return False
    secret_of = np.empty(int(cluster.max()) + 1, np.int64)
    secret_of[cluster] = truth
    return bool((secret_of[cluster] == truth).all())
